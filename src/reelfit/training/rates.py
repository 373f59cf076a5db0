"""At which share of the study's learning rate each parameter of a network learns."""

from collections.abc import Mapping

from torch import nn

from reelfit.errors import StudyError
from reelfit.models.model import Network


def factors_of(
    model: Network, network: nn.Module, *, layer_decay: float | None
) -> dict[str, float]:
    """The factor of each trained parameter that has one, from what the model says of itself.

    ``layer_decay`` multiplies the model's own factors by ``layer_decay ** (deepest - depth)``, so
    that a pretrained network changes less the nearer its layers are to the input.

    Raises:
        StudyError: layers are to decay, and the model says of none how deep it is.
        ValueError: the model's factors or depths are not of the parameters that it has.

    Source: Clark et al., ELECTRA (2020); Bao et al., BEiT (2022), for the decay by layers.
    """
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    factors = model.rate_factors(network)
    _check_names(factors, network, "rate_factors")
    found = {name: factor for name, factor in factors.items() if name in trained}
    if layer_decay is None:
        return found
    depths = model.depths(network)
    if not depths:
        raise StudyError(
            "train.layer_decay: this model does not say how deep its layers are; leave layer_decay "
            "out, or train the model in a study of its own",
            place=("train", "layer_decay"),
        )
    _check_names(depths, network, "depths")
    without = sorted(trained - depths.keys())
    if without:
        raise ValueError(f"{type(model).__name__}.depths says nothing of {', '.join(without)}")
    deepest = max(depths.values())
    return {
        name: found.get(name, 1.0) * layer_decay ** (deepest - depths[name])
        for name in sorted(trained)
    }


def _check_names(named: Mapping[str, object], network: nn.Module, what: str) -> None:
    known = {name for name, _ in network.named_parameters()}
    unknown = sorted(named.keys() - known)
    if unknown:
        raise ValueError(f"{what} names {', '.join(unknown)}, which the network does not have")

"""Each parameter learns at the rate that its model and the study say."""

import pytest
import torch
from torch import nn
from typing_extensions import override

from reelfit.errors import StudyError
from reelfit.models.model import Network
from reelfit.models.naive_cnn import NaiveCNN
from reelfit.training.rates import factors_of


class Deep(Network):
    """Three layers, the first of them frozen, the head learning ten times as fast."""

    wrong: str = ""
    """A name that the network does not have."""
    silent: bool = False
    """Whether the head's depth is left out."""

    @override
    def build(self, *, num_outputs: int) -> nn.Module:
        layers = nn.Module()
        layers.stem, layers.block = nn.Linear(4, 4), nn.Linear(4, 4)
        layers.head = nn.Linear(4, num_outputs)
        layers.stem.requires_grad_(False)
        return layers

    @override
    def rate_factors(self, network: nn.Module) -> dict[str, float]:
        names = ["head.weight", "head.bias", "stem.weight"] + ([self.wrong] if self.wrong else [])
        return dict.fromkeys(names, 10.0)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        found = {"stem": 0, "block": 1, "head": 2}
        return {
            name: found[name.split(".")[0]]
            for name, _ in network.named_parameters()
            if not (self.silent and name.startswith("head"))
        }


def factors(model: Network, decay: float | None) -> dict[str, float]:
    with torch.device("meta"):
        network = model.build(num_outputs=2)
    return factors_of(model, network, layer_decay=decay)


def test_a_model_says_at_which_rate_its_trained_parameters_learn() -> None:
    assert factors(Deep(), None) == {"head.weight": 10.0, "head.bias": 10.0}
    assert factors(NaiveCNN(), None) == {}


def test_layers_learn_slower_the_nearer_they_are_to_the_input_and_frozen_ones_not_at_all() -> None:
    wanted = {"block.weight": 0.5, "block.bias": 0.5, "head.weight": 10.0, "head.bias": 10.0}
    assert factors(Deep(), 0.5) == wanted


def test_a_model_without_depths_cannot_have_its_layers_decay() -> None:
    with pytest.raises(StudyError, match=r"train\.layer_decay: this model does not say how deep"):
        factors(NaiveCNN(), 0.5)


def test_names_that_the_network_does_not_have_are_the_models_mistake() -> None:
    with pytest.raises(ValueError, match="rate_factors names neck"):
        factors(Deep(wrong="neck"), None)
    with pytest.raises(ValueError, match=r"Deep.depths says nothing of head.bias, head.weight"):
        factors(Deep(silent=True), 0.5)

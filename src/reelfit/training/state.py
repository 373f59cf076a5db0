"""All that training needs to go on with the same bits, as a checkpoint and back."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reelfit.training.averaging import Averages
from reelfit.training.checkpoint import Checkpoint


@dataclass
class Progress:
    """Where training stands: with this, the weights and the optimizer, it goes on exactly."""

    epoch: int = 0
    position: int = 0
    step: int = 0
    epoch_loss_sum: float = 0.0
    epoch_samples: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    epochs_without_gain: int = 0
    stopped: bool = False
    micro_batch: int = 0
    technique: str = "plain"
    predict_batch: int = 0
    metrics_bytes: int = 0


def pack_state(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    averages: Averages | None = None,
) -> Checkpoint:
    """Weights, buffers, optimizer state, averages and the progress. Memory: none of its own."""
    tensors = {f"model.{key}": value for key, value in network.state_dict().items()}
    tensors |= _state_of(network, optimizer)
    if averages is not None:
        tensors |= averages.tensors()
    return Checkpoint(tensors, asdict(progress))


def unpack_state(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: Averages | None = None,
) -> Progress:
    """Puts weights, optimizer state and averages in place; gives back the progress."""
    load_weights(checkpoint.tensors, network, averages)
    for name, value in _state_of(network, optimizer).items():
        value.copy_(checkpoint.tensors[name])
    return Progress(**checkpoint.facts)


def load_weights(
    tensors: dict[str, Tensor], network: nn.Module, averages: Averages | None = None
) -> None:
    """Puts the weights, buffers and averages of a checkpoint's tensors in place."""
    weights: dict[str, Any] = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    network.load_state_dict(weights)
    if averages is not None:
        averages.load(tensors)


def state_bytes(network: nn.Module, *, copies: int) -> int:
    """What one checkpoint of this network takes on the disk.

    ``copies`` is how often there is something of the size of what is trained, beside the weights:
    AdamW's two moments, averages.
    """
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    all_of_it = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    return int(all_of_it + copies * trained)


def _state_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors by parameter and key; of parameters that are not trained, none."""
    return {
        f"optimizer.{number}.{key}": value
        for number, parameter in enumerate(network.parameters())
        if parameter in optimizer.state
        for key, value in optimizer.state[parameter].items()
    }

"""A running average of the trained weights, which is what predicts where the study asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_PREFIX = "average."


@dataclass(frozen=True)
class Averages:
    """Of each trained parameter the exponential moving average over the optimizer's steps.

    It starts at the first weights; the share that stays of it rises with the steps up to ``decay``,
    so that a short training is not an average of its beginning. Buffers are the network's own.
    Memory: a copy of what is trained.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992); the
    rise as in TensorFlow's ExponentialMovingAverage.
    """

    decay: float
    of: dict[str, Tensor]

    @classmethod
    def begin(cls, network: nn.Module, *, decay: float) -> "Averages":
        """Averages that have seen the network's weights as they stand."""
        trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        return cls(decay, {name: p.detach().clone() for name, p in trained})

    def update(self, network: nn.Module, *, step: int) -> None:
        """Takes in the weights after optimizer step ``step``, counted from 0. In place."""
        stays = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(network.named_parameters())
        with torch.no_grad():
            for name, average in self.of.items():
                average.lerp_(parameters[name], 1 - stays)

    @contextmanager
    def in_place(self, network: nn.Module) -> Iterator[None]:
        """The network has the averages inside. Memory: none, the two change places."""
        self._exchange(network)
        try:
            yield
        finally:
            self._exchange(network)

    def _exchange(self, network: nn.Module) -> None:
        parameters = dict(network.named_parameters())
        for name, average in self.of.items():
            self.of[name], parameters[name].data = parameters[name].data, average

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of it."""
        return {f"{_PREFIX}{name}": average for name, average in self.of.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts what a checkpoint kept in place."""
        for name, average in self.of.items():
            average.copy_(tensors[f"{_PREFIX}{name}"])

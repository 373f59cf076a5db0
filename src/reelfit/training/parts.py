"""The losses of a batch that is cut into parts, one forward pass for each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

Losses = Callable[[nn.Module, Any], Float[Tensor, " batch"]]
"""Takes the model and some samples of a batch; gives one loss per sample, not their mean."""


@dataclass(frozen=True)
class Cut:
    """A batch, where it is cut, and how its forward passes run."""

    take: Callable[[int, int], Any]
    """The samples from one number to before another."""
    bounds: Sequence[tuple[int, int]]
    autocast: Callable[[], AbstractContextManager[Any]]
    scale: Callable[[Tensor], Tensor]
    """What a gradient scaler does to a loss."""
    seed: int | None
    """Where set, each pass over a part draws the same random numbers, such as dropout's."""

    @property
    def samples(self) -> int:
        """Those of the whole batch."""
        return self.bounds[-1][1]

    @contextmanager
    def part(self, number: int) -> Iterator[Any]:
        """Samples of a part, for a forward pass inside."""
        if self.seed is not None:
            torch.manual_seed(self.seed + number)
        with self.autocast():
            yield self.take(*self.bounds[number])


class PartLosses(ABC):
    """What the parts of a cut add to the loss of the batch and to its gradient."""

    cut: Cut
    value: float = 0.0
    """Of the scaled loss what belongs to no part, once it is known."""

    @abstractmethod
    def prepare(self) -> None:
        """What comes before the first part's backward pass."""

    @abstractmethod
    def of_part(self, number: int) -> Float[Tensor, ""]:
        """The scaled losses of a part, summed and divided by the samples of the batch."""

    def accumulate(self) -> float:
        """The scaled loss of the batch, its gradient accumulated. Memory: the graph of a part."""
        self.prepare()
        total = 0.0
        for number in range(len(self.cut.bounds)):
            loss = self.of_part(number)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total + self.value


@final
class OwnLosses(PartLosses):
    """Losses that each sample has by itself."""

    def __init__(self, model: nn.Module, losses: Losses, cut: Cut) -> None:
        self.model = model
        self.losses = losses
        self.cut = cut

    @override
    def prepare(self) -> None:
        """Nothing."""

    @override
    def of_part(self, number: int) -> Float[Tensor, ""]:
        """Raises ValueError where there is not one loss per sample."""
        begin, end = self.cut.bounds[number]
        with self.cut.part(number) as part:
            each = self.losses(self.model, part)
            if each.shape != (end - begin,):
                raise ValueError(
                    f"losses of shape {tuple(each.shape)} for {end - begin} samples: give one loss "
                    'per sample, as reduction="none" does, not their mean'
                )
            loss = each.sum() / self.cut.samples
        return self.cut.scale(loss)

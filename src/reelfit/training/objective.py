"""What training is for: the samples of a step, what is lost on them, how a network is judged."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from reelfit.data.shards import ShardReader
from reelfit.training.across import Across
from reelfit.training.portions import Portions
from reelfit.training.splitting import count_samples, take_samples


@dataclass(frozen=True)
class Drawn:
    """The samples of one optimizer step, as a step takes them, and their rows in their set."""

    samples: Any
    rows: Int64[np.ndarray, " sample"]


@dataclass(frozen=True)
class Epoch:
    """From where in which epoch samples are drawn, how many at once, and how they are read.

    ``ahead_bytes`` of them are read in advance; ``pinned`` where a GPU is to fetch them by itself.
    """

    number: int
    size: int
    seed: int
    start: int = 0
    ahead_bytes: int = 0
    pinned: bool = False


class Objective(ABC):
    """How a network learns from a set of samples and is asked about another.

    A set has a length; what else it has is between the objective and the stage that makes both.
    """

    @property
    def across(self) -> Across | None:
        """A loss that couples the samples of a step; None where each has its own alone."""
        return None

    @property
    def kept_bytes(self) -> int:
        """What stays in memory of each sample while its step lasts, beside the batch itself."""
        return 0

    @abstractmethod
    def draw(
        self, samples: Sized, reader: ShardReader, epoch: Epoch
    ) -> Iterator[tuple[Drawn, int]]:
        """The steps of an epoch from a position on, each with the position after it.

        Going on from any position that was given gives the same remaining steps.
        """

    @abstractmethod
    def losses(self, network: nn.Module, part: Any) -> Float[Tensor, " batch"]:
        """The loss of each sample of a part of a step, moved to the network's device first.

        Where samples are coupled, what holds as much memory as a part of a step, to trace it.
        """

    @abstractmethod
    def predict(
        self,
        network: nn.Module,
        samples: Sized,
        reader: ShardReader,
        device: torch.device,
        portions: Portions,
    ) -> Any:
        """What the network says of ``samples``, in evaluation mode, by as many at once as fit.

        Raises:
            OutOfMemoryError: one sample does not fit.
        """

    @abstractmethod
    def measure(self, predicted: Any, samples: Sized) -> dict[str, float | None]:
        """The mean ``loss`` of what was predicted, and every metric; None where undefined."""

    @abstractmethod
    def made_up(self, samples: int, *, frames: int, size: tuple[int, int]) -> Any:
        """So many random samples of this shape, as a step takes them, to rehearse it."""

    def count(self, samples: Any) -> int:
        """How many samples a step, or a part of one, has."""
        return count_samples(samples)

    def split(self, samples: Any, begin: int, end: int) -> Any:
        """The samples of a step from ``begin`` to before ``end``."""
        return take_samples(samples, begin, end)

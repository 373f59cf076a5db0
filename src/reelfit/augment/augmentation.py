"""The contract of an augmentation: what it draws is all that it needs to do the same again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

Frames: TypeAlias = UInt8[Tensor, "time 3 height width"]


class Augmentation(ABC):
    """One way to vary a clip, the same for all its frames.

    Pixels are computed in whole numbers, or in float64 where every sum is exact: so a clip gets
    the same bits under any number of threads, any vector unit and on a GPU.
    """

    max_strength: ClassVar[float]
    """The largest strength that makes sense, in the unit that the docstring names."""

    probability: ClassVar[float | None]
    """The share of clips that it is applied to; None where the strength is that share."""

    @abstractmethod
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """The parameters for one clip, as a JSON object."""

    @abstractmethod
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip after this augmentation, with as many frames of the same size."""

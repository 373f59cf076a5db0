"""The contract of an augmentation: what it draws is all that it needs to do the same again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

Frames: TypeAlias = UInt8[Tensor, "time 3 height width"]
ColourMatrix: TypeAlias = Sequence[Sequence[float]]
"""Three rows of four: red, green and blue, each by red, green, blue and a level of its own."""

PLACE_BITS = 16


class Places(NamedTuple):
    """For each pixel a place, right of and below the picture's centre, in 1/65536 of a pixel."""

    x: Int64[Tensor, "height width"]
    y: Int64[Tensor, "height width"]


class Augmentation(ABC):
    """One way to vary a clip, the same for all its frames.

    Pixels are computed in whole numbers, in floats that hold every sum exactly, or by float
    operations that are each rounded as IEEE 754 says, one after the other: so a clip gets the
    same bits under any number of threads, any vector unit and on a GPU.
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


class GeometricAugmentation(Augmentation):
    """One that moves pixels; those in a row are one warp, so that none is interpolated twice."""

    @abstractmethod
    def sources(self, places: Places, drawn: Mapping[str, Any]) -> Places:
        """Where in the picture that it gets this one finds what it shows at ``places``."""


class ColourAugmentation(Augmentation):
    """One that mixes channels; those in a row are one matrix: levels are rounded and cut once."""

    @abstractmethod
    def matrix(self, drawn: Mapping[str, Any]) -> ColourMatrix:
        """What each channel becomes."""


class ClipAugmentation(Augmentation):
    """One that does anything else to a clip."""

    @abstractmethod
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip after this augmentation, with as many frames of the same size."""

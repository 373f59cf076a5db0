"""The contract of a source: something that can be filmed, once whole and once for a patch."""

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

Picture: TypeAlias = UInt8[np.ndarray, "rows columns 3"]
Frames: TypeAlias = UInt8[np.ndarray, "time height width 3"]
"""Frames in RGB, an even number of rows and columns."""


class Source(ABC):
    """What a pristine clip and its tampered twin are made of."""

    source_id: str
    fps: Fraction

    @abstractmethod
    def film(self) -> Frames:
        """The pristine clip, the same at every call."""

    @abstractmethod
    def lend(self, *, longest_side: int) -> Frames:
        """A small clip of this source, of which a patch for another clip is cut."""

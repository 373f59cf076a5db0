"""Brightness, contrast, saturation and hue."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from reelfit.augment.augmentation import ColourAugmentation, ColourMatrix, Frames

_MATRIX_BITS = 16
_MIDDLE = 127.5
_LUMA = (0.299, 0.587, 0.114)
_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])


@final
class Brightness(ColourAugmentation):
    """All levels times one factor; strength is its largest distance from 1 (0..1)."""

    max_strength = 1.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``factor``, even over 1 - strength..1 + strength."""
        return {"factor": generator.uniform(1 - strength, 1 + strength)}

    @override
    def matrix(self, drawn: Mapping[str, Any]) -> ColourMatrix:
        """Brighter or darker."""
        return _with_levels(drawn["factor"] * np.eye(3), 0.0)


@final
class Contrast(ColourAugmentation):
    """Levels stretched about middle grey; strength is the factor's largest distance from 1 (0..1).

    About middle grey, not about the mean: the mean changes over the frames, and would flicker.
    """

    max_strength = 1.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``factor``, even over 1 - strength..1 + strength."""
        return {"factor": generator.uniform(1 - strength, 1 + strength)}

    @override
    def matrix(self, drawn: Mapping[str, Any]) -> ColourMatrix:
        """More or less contrast."""
        factor = drawn["factor"]
        return _with_levels(factor * np.eye(3), _MIDDLE * (1 - factor))


@final
class Saturation(ColourAugmentation):
    """Colours drawn from or to the grey of the same luma.

    Strength is the factor's largest distance from 1 (0..1).
    """

    max_strength = 1.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``factor``, even over 1 - strength..1 + strength; 0 is grey."""
        return {"factor": generator.uniform(1 - strength, 1 + strength)}

    @override
    def matrix(self, drawn: Mapping[str, Any]) -> ColourMatrix:
        """Stronger or weaker colours."""
        factor = drawn["factor"]
        return _with_levels(factor * np.eye(3) + (1 - factor) * np.tile(_LUMA, (3, 1)), 0.0)


@final
class Hue(ColourAugmentation):
    """Colours turned about the grey axis; strength is the largest angle in degrees (0..180).

    Luma stays as it is. Source: after P. Haeberli, Matrix operations for image
    processing (1993), with the chroma plane of YIQ.
    """

    max_strength = 180.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``degrees``, even over -strength..strength."""
        return {"degrees": generator.uniform(-strength, strength)}

    @override
    def matrix(self, drawn: Mapping[str, Any]) -> ColourMatrix:
        """Colours turned."""
        angle = math.radians(drawn["degrees"])
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        return _with_levels(np.linalg.inv(_YIQ) @ turn @ _YIQ, 0.0)


def recolour(frames: Frames, matrices: Sequence[ColourMatrix]) -> Frames:
    """The clip after all ``matrices``, the first one first, in whole numbers of 1/65536."""
    rows, one = matrices[0], 1 << _MATRIX_BITS
    for matrix in matrices[1:]:
        rows = _after(matrix, rows)
    planes = frames.int().unbind(1)
    mixed = torch.empty_like(frames, memory_format=torch.contiguous_format)
    total = torch.empty_like(planes[0], memory_format=torch.contiguous_format)
    for channel, row in enumerate(rows):
        *weights, level = (round(share * one) for share in row)
        total.fill_(level + one // 2)
        for plane, weight in zip(planes, weights, strict=True):
            total.add_(plane, alpha=weight)
        mixed[:, channel] = total.bitwise_right_shift_(_MATRIX_BITS).clamp_(0, 255)
    return mixed


def _with_levels(mix: NDArray[np.float64], level: float) -> ColourMatrix:
    return [[*row, level] for row in mix.tolist()]


def _after(second: ColourMatrix, first: ColourMatrix) -> ColourMatrix:
    """One matrix for both; added term by term, for a library's product may differ in last bits."""
    rows = [*first, (0.0, 0.0, 0.0, 1.0)]
    return [
        [sum(row[k] * rows[k][column] for k in range(4)) for column in range(4)] for row in second
    ]

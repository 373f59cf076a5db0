"""Brightness, contrast, saturation and hue."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from typing_extensions import override

from reelfit.augment.augmentation import Augmentation, Frames

_MATRIX_BITS = 14
_LUMA = (0.299, 0.587, 0.114)
_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])


@final
class Brightness(Augmentation):
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
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The brighter or darker clip."""
        return _stretch(frames, factor=drawn["factor"], about=0.0)


@final
class Contrast(Augmentation):
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
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with more or less contrast."""
        return _stretch(frames, factor=drawn["factor"], about=127.5)


@final
class Saturation(Augmentation):
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
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with stronger or weaker colours."""
        factor = drawn["factor"]
        grey = np.tile(_LUMA, (3, 1))
        return _mix_channels(frames, (factor * np.eye(3) + (1 - factor) * grey).tolist())


@final
class Hue(Augmentation):
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
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with its colours turned."""
        angle = math.radians(drawn["degrees"])
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        return _mix_channels(frames, (np.linalg.inv(_YIQ) @ turn @ _YIQ).tolist())


def _stretch(frames: Frames, *, factor: float, about: float) -> Frames:
    """Each level at ``factor`` times its distance from ``about``, by a table of 256."""
    levels = [round(about + factor * (level - about)) for level in range(256)]
    table = torch.tensor([min(max(level, 0), 255) for level in levels], dtype=torch.uint8)
    return table.to(frames.device)[frames.int()]


def _mix_channels(frames: Frames, matrix: Sequence[Sequence[float]]) -> Frames:
    """Each channel as a weighted sum of red, green and blue."""
    one = 1 << _MATRIX_BITS
    red, green, blue = frames.int().unbind(1)
    mixed = torch.empty_like(frames)
    for channel, row in enumerate(matrix):
        by_red, by_green, by_blue = (round(weight * one) for weight in row)
        total = red * by_red + green * by_green + blue * by_blue
        mixed[:, channel] = ((total + one // 2) >> _MATRIX_BITS).clamp(0, 255)
    return mixed

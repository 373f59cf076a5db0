"""Flip, rotation, translation and scale."""

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import Augmentation, Frames

_MATRIX_BITS = 16
_PIXEL_BITS = 7  # and 8 of a level: together they fit 16 bits with a sign


@final
class HorizontalFlip(Augmentation):
    """Left becomes right; strength is the share of clips (0..1)."""

    max_strength = 1.0
    probability = None

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """Nothing: a flip has no parameters."""
        return {}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The mirrored clip."""
        return frames.flip(-1)


@final
class Rotation(Augmentation):
    """Turned about its centre; strength is the largest angle in degrees (0..180)."""

    max_strength = 180.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``degrees``, counter-clockwise, even over -strength..strength."""
        return {"degrees": generator.uniform(-strength, strength)}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The turned clip; what comes in at the corners is the mirrored picture."""
        return warp(frames, degrees=drawn["degrees"])


@final
class TranslationScale(Augmentation):
    """Moved and zoomed; strength is a share of the sides (0..1).

    The picture moves by at most this share of each side, and its size changes by at most the
    factor 1 + strength, up or down.
    """

    max_strength = 1.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``right`` and ``down`` as shares of the sides, and the factor ``scale``."""
        right, down = generator.uniform(-strength, strength, size=2).tolist()
        return {"right": right, "down": down, "scale": (1 + strength) ** generator.uniform(-1, 1)}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The moved clip; what comes in at the border is the mirrored picture."""
        return warp(frames, right=drawn["right"], down=drawn["down"], scale=drawn["scale"])


def warp(
    frames: Frames,
    *,
    degrees: float = 0.0,
    scale: float = 1.0,
    right: float = 0.0,
    down: float = 0.0,
) -> Frames:
    """The clip turned counter-clockwise and scaled about its centre, then moved.

    Bilinear, to 1/128 of a pixel. The border is mirrored: a black wedge would tell a model which
    clips are augmented.
    """
    height, width = frames.shape[-2:]
    cosine = math.cos(math.radians(degrees)) / scale
    sine = math.sin(math.radians(degrees)) / scale
    move_x, move_y = right * width, down * height
    # Coordinates are doubled, so that the centre of an even number of pixels is whole too.
    x = 2 * torch.arange(width, device=frames.device)[None, :] - (width - 1)
    y = 2 * torch.arange(height, device=frames.device)[:, None] - (height - 1)
    from_x = _along(x, cosine, y, -sine, moved=cosine * move_x - sine * move_y, length=width)
    from_y = _along(x, sine, y, cosine, moved=sine * move_x + cosine * move_y, length=height)
    return _bilinear(frames, from_x.flatten(), from_y.flatten())


def _along(
    x: Int64[Tensor, "1 width"],
    by_x: float,
    y: Int64[Tensor, "height 1"],
    by_y: float,
    *,
    moved: float,
    length: int,
) -> Int64[Tensor, "height width"]:
    """Where each pixel comes from along one axis, in 1/128 of a pixel."""
    one = 1 << _MATRIX_BITS
    doubled = x * round(by_x * one) + y * round(by_y * one)
    doubled += (length - 1) * one - round(2 * moved * one)
    spare_bits = _MATRIX_BITS + 1 - _PIXEL_BITS
    return (doubled + (1 << (spare_bits - 1))) >> spare_bits


def _bilinear(
    frames: Frames, from_x: Int64[Tensor, " pixels"], from_y: Int64[Tensor, " pixels"]
) -> Frames:
    one = 1 << _PIXEL_BITS
    height, width = frames.shape[-2:]
    # All values of one place side by side, so that one place is picked once for all frames.
    places = frames.reshape(-1, height * width).T.contiguous()
    left, top = from_x >> _PIXEL_BITS, from_y >> _PIXEL_BITS
    columns = [_mirrored(left + step, length=width) for step in (0, 1)]
    rows = [_mirrored(top + step, length=height) * width for step in (0, 1)]
    share_x = (from_x & (one - 1)).short()[:, None]
    share_y = (from_y & (one - 1)).int()[:, None]
    lines = []
    for row in rows:
        near, far = (places.index_select(0, row + column).short() for column in columns)
        lines.append(near.mul(one).add_(far.sub_(near).mul_(share_x)).int())
    upper, lower = lines
    blended = lower.sub_(upper).mul_(share_y).add_(upper, alpha=one)
    rounded = blended.add_(1 << (2 * _PIXEL_BITS - 1)).bitwise_right_shift_(2 * _PIXEL_BITS)
    return rounded.to(torch.uint8).T.contiguous().reshape(frames.shape)


def _mirrored(index: Int64[Tensor, " pixels"], *, length: int) -> Int64[Tensor, " pixels"]:
    inside = index.remainder(2 * length)
    return torch.minimum(inside, 2 * length - 1 - inside)

"""Recompression: what the JPEG of each frame keeps of it."""

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float64, Int32, UInt8
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import Augmentation, Frames

# Source: ITU-T T.81 (1992), tables K.1 and K.2: the steps for luma and chroma at quality 50.
_LUMA_STEPS = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_CHROMA_STEPS = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8 for _ in range(4)],
]
_BASIS_BITS = 13
_SCALE = float(1 << (2 * _BASIS_BITS))
_ZERO_LEVEL = 128


@final
class Recompression(Augmentation):
    """Each frame as JPEG leaves it, with chroma at half size.

    Strength is how far the quality of 100 may fall (0..99): 60 draws qualities of 40 to 100.
    """

    max_strength = 99.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``quality`` of 1..100 on the scale of the Independent JPEG Group."""
        return {"quality": round(100 - generator.uniform(0, strength))}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with JPEG's loss.

        Source: ITU-T T.81 for the transform, JFIF 1.02 for the colours. No bytes are made: the
        entropy coding loses nothing.
        """
        height, width = frames.shape[-2:]
        luma, blue, red = _to_planes(_padded(frames).int())
        luma = _through_blocks(luma, _steps(_LUMA_STEPS, quality=drawn["quality"]))
        chroma_steps = _steps(_CHROMA_STEPS, quality=drawn["quality"])
        blue, red = (
            _doubled(_through_blocks(_halved(plane), chroma_steps)) - _ZERO_LEVEL
            for plane in (blue, red)
        )
        return _to_frames(luma, blue, red)[..., :height, :width].contiguous()


def _steps(table: list[list[int]], *, quality: int) -> Float64[Tensor, "64"]:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = [(step * percent + 50) // 100 for row in table for step in row]
    return torch.tensor([min(max(step, 1), 255) for step in scaled], dtype=torch.float64)


def _basis() -> Float64[Tensor, "64 64"]:
    """From the 64 pixels of a block to its 64 coefficients, as whole numbers.

    Whole numbers below 2**25 times pixels stay below 2**53, so float64 adds them without error in
    any order: no rounding to a step can depend on how a library multiplies matrices.
    """
    cosines = torch.tensor(
        [
            [
                round(
                    (1 << _BASIS_BITS)
                    * math.sqrt((1 if frequency == 0 else 2) / 8)
                    * math.cos((2 * pixel + 1) * frequency * math.pi / 16)
                )
                for frequency in range(8)
            ]
            for pixel in range(8)
        ],
        dtype=torch.float64,
    )
    return torch.kron(cosines, cosines)


_BASIS = _basis()


def _through_blocks(
    plane: Int32[Tensor, "time height width"], steps: Float64[Tensor, "64"]
) -> Int32[Tensor, "time height width"]:
    """The plane after its blocks' coefficients were rounded to whole steps."""
    time, height, width = plane.shape
    basis, steps = _BASIS.to(plane.device), steps.to(plane.device)
    split = plane.reshape(time, height // 8, 8, width // 8, 8).transpose(2, 3)
    blocks = (split.reshape(-1, 64) - _ZERO_LEVEL).double()
    kept = (blocks @ basis).div_(steps * _SCALE).round_().mul_(steps)
    pixels = (kept @ basis.T).div_(_SCALE).round_().add_(_ZERO_LEVEL).clamp_(0, 255)
    return pixels.int().reshape(split.shape).transpose(2, 3).reshape(plane.shape)


def _padded(frames: Frames) -> UInt8[Tensor, "time 3 padded_height padded_width"]:
    """Sides that are multiples of 16, by repeating the last row and column."""
    rows, columns = (
        torch.arange(-(-side // 16) * 16, device=frames.device).clamp(max=side - 1)
        for side in frames.shape[-2:]
    )
    return frames[..., rows[:, None], columns]


def _to_planes(
    frames: Int32[Tensor, "time 3 height width"],
) -> tuple[Int32[Tensor, "time height width"], ...]:
    """Luma, and the chromas about 128, in whole numbers of 1/65536."""
    red, green, blue = frames.unbind(1)
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    to_blue = (-11059 * red - 21709 * green + 32768 * blue + 32767 + (128 << 16)) >> 16
    to_red = (32768 * red - 27439 * green - 5329 * blue + 32767 + (128 << 16)) >> 16
    return luma, to_blue, to_red


def _to_frames(
    luma: Int32[Tensor, "time height width"],
    blue: Int32[Tensor, "time height width"],
    red: Int32[Tensor, "time height width"],
) -> Frames:
    channels = [
        luma + ((91881 * red + 32768) >> 16),
        luma - ((22554 * blue + 46802 * red + 32768) >> 16),
        luma + ((116130 * blue + 32768) >> 16),
    ]
    return torch.stack(channels, 1).clamp_(0, 255).to(torch.uint8)


def _halved(plane: Int32[Tensor, "time height width"]) -> Int32[Tensor, "time half_h half_w"]:
    rows = plane[:, 0::2] + plane[:, 1::2]
    return (rows[..., 0::2] + rows[..., 1::2] + 2) >> 2


def _doubled(plane: Int32[Tensor, "time height width"]) -> Int32[Tensor, "time twice_h twice_w"]:
    return plane.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)

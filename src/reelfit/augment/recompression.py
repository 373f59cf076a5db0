"""Recompression: what the JPEG of each frame keeps of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float64, Int32, UInt8
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames
from reelfit.augment.padding import padded

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
_MACROBLOCK = 16  # pixels: 2 x 2 blocks of luma, and one of each chroma
_BASIS_BITS = 13
_SCALE = 2.0 ** (2 * _BASIS_BITS)
_ZERO_LEVEL = 128
_BASIS = torch.tensor(
    [
        [
            round(
                (1 << _BASIS_BITS)
                * math.sqrt((1 if frequency == 0 else 2) / 8)
                * math.cos((2 * pixel + 1) * frequency * math.pi / 16)
            )
            for pixel in range(8)
        ]
        for frequency in range(8)
    ],
    dtype=torch.float64,
)
"""From 8 pixels to 8 frequencies, as whole numbers of 13 bits.

Both ways they stay below 2**53 with a pixel, so float64 adds them without error in any order: no
rounding to a step can depend on how a library multiplies matrices.
"""


@final
class Recompression(ClipAugmentation):
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
        whole = padded(frames, multiple=_MACROBLOCK)
        kept = torch.empty_like(whole, memory_format=torch.contiguous_format)
        steps = [
            _steps(table, quality=drawn["quality"]).to(frames.device)
            for table in (_LUMA_STEPS, _CHROMA_STEPS)
        ]
        # Two frames at a time stay in the processor's cache.
        for some, out in zip(torch.split(whole, 2), torch.split(kept, 2), strict=True):
            blocks = _to_blocks(_to_pixels(some).int())
            _copy_pixels(_to_colours(_rounded(blocks, *steps)), out)
        return kept[..., :height, :width].contiguous()


def _split(frames: Frames) -> UInt8[Tensor, "3 16 16 time rows columns"]:
    time, _, height, width = frames.shape
    rows, columns = height // _MACROBLOCK, width // _MACROBLOCK
    split = frames.view(time, 3, rows, _MACROBLOCK, columns, _MACROBLOCK)
    return split.permute(1, 3, 5, 0, 2, 4)


def _to_pixels(frames: Frames) -> UInt8[Tensor, "3 16 16 macroblocks"]:
    """The pixels at one place of all macroblocks side by side."""
    return _split(frames.contiguous()).flatten(3)


def _copy_pixels(pixels: UInt8[Tensor, "3 16 16 macroblocks"], frames: Frames) -> None:
    split = _split(frames)
    split.copy_(pixels.view(split.shape))


def _to_blocks(
    pixels: Int32[Tensor, "3 16 16 macroblocks"],
) -> Float64[Tensor, "8 8 6 macroblocks"]:
    """Four blocks of luma, and the two chromas at half size, all about zero."""
    count = pixels.shape[-1]
    blocks = torch.empty(8, 8, 6, count, dtype=torch.float64, device=pixels.device)
    luma = _mixed(pixels, (19595, 38470, 7471), more=32768 - (_ZERO_LEVEL << 16), drop_bits=16)
    of_luma = blocks[:, :, :4].view(8, 8, 2, 2, count)
    of_luma.copy_(luma.view(2, 8, 2, 8, count).permute(1, 3, 0, 2, 4))
    pairs = pixels[:, 0::2] + pixels[:, 1::2]
    fours = pairs[:, :, 0::2] + pairs[:, :, 1::2]
    blocks[:, :, 4] = _mixed(fours, (-11059, -21709, 32768), more=1 << 17, drop_bits=18)
    blocks[:, :, 5] = _mixed(fours, (32768, -27439, -5329), more=1 << 17, drop_bits=18)
    return blocks


def _mixed(
    channels: Int32[Tensor, "3 side side macroblocks"],
    weights: Sequence[int],
    *,
    more: int,
    drop_bits: int,
) -> Int32[Tensor, "side side macroblocks"]:
    """The channels by weights in whole numbers of 1/65536."""
    total = torch.full_like(channels[0], more)
    for plane, weight in zip(channels, weights, strict=True):
        total.add_(plane, alpha=weight)
    return total.bitwise_right_shift_(drop_bits)


def _rounded(
    blocks: Float64[Tensor, "8 8 6 macroblocks"],
    luma_steps: Float64[Tensor, "8 8 1 1"],
    chroma_steps: Float64[Tensor, "8 8 1 1"],
) -> Int32[Tensor, "8 8 6 macroblocks"]:
    """The blocks after their coefficients were rounded to whole steps."""
    basis = _BASIS.to(blocks.device)
    coefficients = _transformed(blocks, basis)
    parts = coefficients[:, :, :4], coefficients[:, :, 4:]
    for part, steps in zip(parts, (luma_steps, chroma_steps), strict=True):
        # By a tensor: by a number, a GPU multiplies with a rounded inverse.
        part.div_(steps * _SCALE).round_().mul_(steps)
    return _transformed(coefficients, basis.T.contiguous()).mul_(1 / _SCALE).round_().int()


def _transformed(
    blocks: Float64[Tensor, "8 8 6 macroblocks"], by: Float64[Tensor, "8 8"]
) -> Float64[Tensor, "8 8 6 macroblocks"]:
    """Rows, then columns, by a matrix."""
    rows = by @ blocks.view(8, -1)
    return torch.bmm(by.expand(8, 8, 8), rows.view(8, 8, -1)).view(blocks.shape)


def _steps(table: list[list[int]], *, quality: int) -> Float64[Tensor, "8 8 1 1"]:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = [[min(max((step * percent + 50) // 100, 1), 255) for step in row] for row in table]
    return torch.tensor(scaled, dtype=torch.float64)[..., None, None]


def _to_colours(
    blocks: Int32[Tensor, "8 8 6 macroblocks"],
) -> UInt8[Tensor, "3 16 16 macroblocks"]:
    blocks.clamp_(-_ZERO_LEVEL, 255 - _ZERO_LEVEL)
    count = blocks.shape[-1]
    split = blocks[:, :, :4].view(8, 8, 2, 2, count).permute(2, 0, 3, 1, 4)
    luma = split.to(torch.int16, memory_format=torch.contiguous_format).add_(_ZERO_LEVEL)
    blue, red = blocks[:, :, 4], blocks[:, :, 5]
    differences = [
        (91881 * red + 32768) >> 16,
        -((22554 * blue + 46802 * red + 32768) >> 16),
        (116130 * blue + 32768) >> 16,
    ]
    colours = torch.empty(3, 16, 16, count, dtype=torch.uint8, device=blocks.device)
    for colour, difference in zip(colours, differences, strict=True):
        doubled = difference.short()[:, None, :, None]  # for two rows and two columns of pixels
        pixels = luma.view(8, 2, 8, 2, count) + doubled
        colour.view(pixels.shape).copy_(pixels.clamp_(0, 255))
    return colours

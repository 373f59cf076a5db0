"""What the features are computed from: the grey clip and its decompositions, each made once."""

from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, UInt8

BLOCK = 8
"""The side of a block in pixels, as JPEG, MPEG and H.264 transform it."""

_COSINES = np.array(
    [
        [
            np.sqrt((1 if frequency == 0 else 2) / BLOCK)
            * np.cos((2 * pixel + 1) * frequency * np.pi / (2 * BLOCK))
            for pixel in range(BLOCK)
        ]
        for frequency in range(BLOCK)
    ],
    dtype=np.float32,
)


@final
class GreyClip:
    """The luma of a clip in levels of 0..255, and what several features share.

    Beyond the border the nearest pixel is repeated. Memory: about 20 times the uint8 grey clip,
    for as long as this object lives.
    """

    def __init__(self, frames: UInt8[np.ndarray, "time 3 height width"]) -> None:
        red, green, blue = (frames[:, channel].astype(np.float32) for channel in range(3))
        self.levels: Float32[np.ndarray, "time height width"] = (
            np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        )

    @cached_property
    def around(self) -> Float32[np.ndarray, "time taller wider"]:
        """The levels with one more pixel on each side."""
        return np.pad(self.levels, [(0, 0), (1, 1), (1, 1)], mode="edge")

    @cached_property
    def residual(self) -> Float32[np.ndarray, "time height width"]:
        """What a median of 3 x 3 pixels takes away."""
        return np.asarray(self.levels - _median_of_nine(self.around))

    @cached_property
    def gradient(self) -> Float32[np.ndarray, "time height width"]:
        """The length of Sobel's gradient, in levels times eight per pixel."""
        around = self.around
        down = around[:, :-2] + 2 * around[:, 1:-1] + around[:, 2:]
        across = around[:, :, :-2] + 2 * around[:, :, 1:-1] + around[:, :, 2:]
        rise, slope = across[:, 2:] - across[:, :-2], down[:, :, 2:] - down[:, :, :-2]
        return np.asarray(np.sqrt(rise * rise + slope * slope))

    @cached_property
    def blocks(self) -> Float32[np.ndarray, "time rows 8 columns 8"]:
        """The levels in blocks; an incomplete one is filled from its last row and column."""
        time, height, width = self.levels.shape
        missing = [(0, 0), (0, -height % BLOCK), (0, -width % BLOCK)]
        filled = np.pad(self.levels, missing, mode="edge")
        return filled.reshape(time, -(-height // BLOCK), BLOCK, -(-width // BLOCK), BLOCK)

    @cached_property
    def coefficients(self) -> Float32[np.ndarray, "time blocks 64"]:
        """The orthonormal DCT of each block; number 0 is DC."""
        # einsum without its optimizer adds in one order, whatever threads a BLAS would take.
        across = np.einsum("trycx,vx->trycv", self.blocks, _COSINES)
        both = np.einsum("trycv,uy->trcuv", across, _COSINES)
        return np.asarray(both).reshape(len(both), -1, BLOCK * BLOCK)


def _median_of_nine(
    around: Float32[np.ndarray, "time _ _"],
) -> Float32[np.ndarray, "time height width"]:
    """The median of each pixel and its eight neighbours.

    Source: J. L. Smith, Implementing median filters in XC4000E FPGAs (1996): of three sorted
    columns, the median of the largest minimum, the middle median and the smallest maximum.
    """
    low, middle, high = _sorted_three(around[:, :-2], around[:, 1:-1], around[:, 2:])
    largest_low = np.maximum(np.maximum(low[:, :, :-2], low[:, :, 1:-1]), low[:, :, 2:])
    smallest_high = np.minimum(np.minimum(high[:, :, :-2], high[:, :, 1:-1]), high[:, :, 2:])
    middles = _sorted_three(middle[:, :, :-2], middle[:, :, 1:-1], middle[:, :, 2:])[1]
    return _sorted_three(largest_low, middles, smallest_high)[1]


def _sorted_three(
    first: Float32[np.ndarray, "time height width"],
    second: Float32[np.ndarray, "time height width"],
    third: Float32[np.ndarray, "time height width"],
) -> tuple[Float32[np.ndarray, "time height width"], ...]:
    low, high = np.minimum(first, second), np.maximum(first, second)
    return (
        np.minimum(low, third),
        np.maximum(low, np.minimum(high, third)),
        np.maximum(high, third),
    )

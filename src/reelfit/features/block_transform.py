"""The discrete cosine transform of 8 x 8 blocks: what compression keeps and leaves out.

Source: N. Ahmed, T. Natarajan and K. Rao, Discrete cosine transform (1974).
"""

from math import sqrt

import numpy as np
from jaxtyping import Float32, UInt8

from reelfit.features.feature import FrameFeatures, variance_of
from reelfit.features.frame import BLOCK, Frame

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


def _measure(frame: Frame) -> tuple[float, ...]:
    """Of DC, eight times a block's mean level, mean and standard deviation over blocks.

    Of the AC coefficients the mean absolute value, the standard deviation, and the mean over
    blocks of the sum of their squares.
    """
    count, level, level_squares = 0, 0, 0
    total, magnitude, squares = 0.0, 0.0, 0.0
    for band in frame.bands():
        blocks = frame.blocks(band)
        levels = blocks.sum(axis=1, dtype=np.int64).reshape(-1, BLOCK).sum(axis=1)
        count += levels.size
        level += int(levels.sum())
        level_squares += int(np.square(levels).sum())
        coefficients = _coefficients(blocks)
        coefficients[:, 0, :, 0] = 0.0
        total += float(coefficients.sum(dtype=np.float64))
        squares += float(np.square(coefficients).sum(dtype=np.float64))
        magnitude += float(np.abs(coefficients).sum(dtype=np.float64))
    num_ac = count * (BLOCK * BLOCK - 1)
    return (
        level / BLOCK / count,
        sqrt(variance_of(count, level, level_squares)) / BLOCK,
        magnitude / num_ac,
        sqrt(variance_of(num_ac, total, squares)),
        squares / count,
    )


def _coefficients(
    blocks: UInt8[np.ndarray, "rows 8 width"],
) -> Float32[np.ndarray, "rows 8 columns 8"]:
    """The orthonormal DCT of each block, by row of blocks, frequency, block and frequency.

    Sums of eight products: no BLAS splits them over its threads, so that the bits stay the same.
    """
    down = np.matmul(_COSINES, blocks.astype(np.float32))
    across = down.reshape(-1, BLOCK) @ _COSINES.T
    return np.asarray(across).reshape(len(blocks), BLOCK, -1, BLOCK)


BLOCK_TRANSFORM = FrameFeatures(
    ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy"), _measure
)

"""What a median filter takes away: sensor noise, and whatever tampering left of it.

Source: the median filter residual of X. Kang, M. Stamm, A. Peng and K. Liu, Robust median
filtering forensics using an autoregressive model (2013).
"""

from math import sqrt

import numpy as np
from jaxtyping import UInt8

from reelfit.features.feature import FrameFeatures, variance_of
from reelfit.features.frame import Frame


def _measure(frame: Frame) -> tuple[float, ...]:
    """The residual's mean square, the mean of its absolute value, its standard deviation."""
    total, magnitude, squares = 0, 0, 0
    for band in frame.bands():
        around = frame.around(band, 1)
        residual = np.subtract(around[1:-1, 1:-1], _median_of_nine(around), dtype=np.int16)
        total += int(residual.sum(dtype=np.int64))
        magnitude += int(np.abs(residual).sum(dtype=np.int64))
        squares += int(np.square(residual, dtype=np.int32).sum(dtype=np.int64))
    count = frame.height * frame.width
    return squares / count, magnitude / count, sqrt(variance_of(count, total, squares))


def _median_of_nine(around: UInt8[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "height width"]:
    """The median of each pixel and its eight neighbours.

    Source: J. L. Smith, Implementing median filters in XC4000E FPGAs (1996): of three sorted
    columns, the median of the largest minimum, the middle median and the smallest maximum.
    """
    low, middle, high = _sorted_three(around[:-2], around[1:-1], around[2:])
    largest_low = np.maximum(np.maximum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    smallest_high = np.minimum(np.minimum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    middles = _sorted_three(middle[:, :-2], middle[:, 1:-1], middle[:, 2:])[1]
    return _sorted_three(largest_low, middles, smallest_high)[1]


def _sorted_three(
    first: UInt8[np.ndarray, "height width"],
    second: UInt8[np.ndarray, "height width"],
    third: UInt8[np.ndarray, "height width"],
) -> tuple[UInt8[np.ndarray, "height width"], ...]:
    low, high = np.minimum(first, second), np.maximum(first, second)
    return (
        np.minimum(low, third),
        np.maximum(low, np.minimum(high, third)),
        np.maximum(high, third),
    )


NOISE_RESIDUAL = FrameFeatures(
    ("noise_residual_energy", "noise_residual_mean", "noise_residual_std"), _measure
)

"""How alike neighbouring pixels are: smooth and synthetic surfaces against grain.

Source: R. Haralick, K. Shanmugam and I. Dinstein, Textural features for image classification
(1973).
"""

import numpy as np
from jaxtyping import Int64, UInt8

from reelfit.features.feature import FrameFeatures
from reelfit.features.frame import Frame

_LEVELS = 16
_DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))  # rows down, columns to the right


def _measure(frame: Frame) -> tuple[float, ...]:
    """The angular second moment (uniformity, energy) of the grey-level co-occurrence matrix.

    Of 16 grey levels, symmetric, at distance 1, the mean over 0, 45, 90 and 135 degrees; a
    direction in which the frame has no neighbours does not count, and a single pixel is uniform.
    """
    counts = np.zeros((len(_DIRECTIONS), _LEVELS * _LEVELS), np.int64)
    for band in frame.bands():
        # One row more below, where the frame has one.
        rows = frame.levels[band.top : band.bottom + 1] >> 4
        height = band.bottom - band.top
        for number, direction in enumerate(_DIRECTIONS):
            counts[number] += _co_occurrences(rows, height, direction)
    moments = [_second_moment(count) for count in counts if count.any()]
    return (sum(moments) / len(moments) if moments else 1.0,)


def _co_occurrences(
    rows: UInt8[np.ndarray, "_ width"], height: int, direction: tuple[int, int]
) -> Int64[np.ndarray, "256"]:
    """How often each pair of levels stands side by side, the first in one of ``height`` rows."""
    down, right = direction
    first = rows[: min(height, len(rows) - down), max(0, -right) : rows.shape[1] - max(0, right)]
    second = rows[down : down + len(first), max(0, right) : rows.shape[1] + min(0, right)]
    pairs = first << 4  # 16 levels twice are one byte
    pairs |= second
    return np.bincount(pairs.ravel(), minlength=_LEVELS * _LEVELS)


def _second_moment(counts: Int64[np.ndarray, "256"]) -> float:
    matrix = counts.reshape(_LEVELS, _LEVELS)
    both_ways = (matrix + matrix.T) / (2 * matrix.sum())
    return float(np.square(both_ways).sum())


TEXTURE = FrameFeatures(("texture_uniformity",), _measure)

"""A frame in a grid of cells, the same number for every size."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64, UInt8

GRID = 16
"""Rows and columns of cells, fewer for sides of fewer pixels."""


def cell_means(
    levels: UInt8[np.ndarray, "height width"],
) -> Float64[np.ndarray, "rows columns"]:
    """The mean level of each cell. Memory: a row of pixels."""
    rows, columns = _edges(levels.shape[0]), _edges(levels.shape[1])
    sums = np.empty((len(rows) - 1, levels.shape[1]), np.int64)
    for number, (top, bottom) in enumerate(pairwise(rows)):
        sums[number] = levels[top:bottom].sum(axis=0, dtype=np.uint32)
    areas = np.outer(np.diff(rows), np.diff(columns))
    return np.asarray(np.add.reduceat(sums, columns[:-1], axis=1) / areas)


def _edges(side: int) -> Int64[np.ndarray, " edges"]:
    count = min(GRID, side)
    return np.arange(count + 1) * side // count

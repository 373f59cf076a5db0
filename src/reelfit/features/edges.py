"""Edges: a blended border has fewer than what it borders on, a pasted patch others.

Source: J. Canny, A computational approach to edge detection (1986).
"""

import numpy as np
from jaxtyping import Bool, Int16, Int64

from reelfit.features.feature import FrameFeatures
from reelfit.features.frame import Band, Frame
from reelfit.features.gradient import gradient_of

WEAK, STRONG = 100, 200
"""|Gx| + |Gy| of Sobel that an edge exceeds: all along it, and somewhere on it."""

_FLAT = np.float32(0.41421357)  # tan 22.5 degrees: up to there a slope counts as horizontal


def _measure(frame: Frame) -> tuple[float, ...]:
    """The share of the pixels that are edges by Canny's detector, without its smoothing."""
    return (float(np.count_nonzero(edge_pixels(frame))) / (frame.height * frame.width),)


def edge_pixels(frame: Frame) -> Bool[np.ndarray, "height width"]:
    """Where Canny's detector finds an edge: the highest across it, and joined to a strong one.

    Memory: two bytes a pixel. The same as OpenCV's ``Canny`` with its default aperture and norm.
    """
    weak = np.zeros((frame.height + 2, frame.width + 2), np.bool_)
    starts = []
    for band in frame.bands():
        heights = _ridges(frame, band)
        weak[band.top + 1 : band.bottom + 1, 1:-1] = heights > WEAK
        rows, columns = np.divmod(np.flatnonzero(heights > STRONG), frame.width)
        starts.append((rows + band.top + 1) * weak.shape[1] + columns + 1)
    return _joined(weak, np.concatenate(starts))[1:-1, 1:-1]


def _ridges(frame: Frame, band: Band) -> Int16[np.ndarray, "rows width"]:
    """|Gx| + |Gy| where it is the highest of the three across the edge, else 0."""
    across, down = gradient_of(frame.around(band, 2).astype(np.int16))
    run, rise = np.abs(across), np.abs(down)
    heights = run + rise
    heights[:, [0, -1]] = 0  # beyond the border of the frame there is no edge
    if band.top == 0:
        heights[0] = 0
    if band.bottom == frame.height:
        heights[-1] = 0
    inside, run, rise = heights[1:-1, 1:-1], run[1:-1, 1:-1], rise[1:-1, 1:-1]
    flat, steep = rise < _FLAT * run, run < _FLAT * rise
    falling = (across[1:-1, 1:-1] ^ down[1:-1, 1:-1]) < 0
    highest = (inside > heights[:-2, 2:]) & (inside > heights[2:, :-2]) & falling
    highest |= (inside > heights[:-2, :-2]) & (inside > heights[2:, 2:]) & ~falling
    highest &= ~(flat | steep)
    highest |= (inside > heights[:-2, 1:-1]) & (inside >= heights[2:, 1:-1]) & steep
    highest |= (inside > heights[1:-1, :-2]) & (inside >= heights[1:-1, 2:]) & flat
    return np.asarray(inside * highest)


def _joined(
    weak: Bool[np.ndarray, "taller wider"], starts: Int64[np.ndarray, " starts"]
) -> Bool[np.ndarray, "taller wider"]:
    """The pixels of ``weak`` that a chain of weak neighbours joins to one of ``starts``.

    All chains grow at once, by one pixel a turn. ``weak`` is used up; its border is empty.
    """
    found = np.zeros_like(weak)
    left, taken = weak.reshape(-1), found.reshape(-1)
    width = weak.shape[1]
    newest = starts
    left[newest], taken[newest] = False, True
    while len(newest):
        reached = []
        for step in (1, -1, width - 1, width, width + 1, 1 - width, -width, -1 - width):
            beside = newest + step
            beside = beside[left[beside]]
            left[beside] = False
            reached.append(beside)
        newest = np.concatenate(reached)
        taken[newest] = True
    return found


EDGES = FrameFeatures(("edge_density",), _measure)

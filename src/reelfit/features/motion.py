"""What changes from frame to frame: frozen and repeated frames, patches that move by themselves.

Source: after W. Wang and H. Farid, Exposing digital forgeries in video by detecting duplication
(2007), who compare frames and blocks by correlation; differences are cheaper.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from reelfit.features.cells import cell_means

MOTION_NAMES = (
    "frame_difference_mean",
    "frame_difference_min",
    "repeated_frame_difference",
    "local_motion",
)


class Change(NamedTuple):
    """How one frame differs from another, in levels."""

    mean: float
    """The mean absolute difference."""
    local: float
    """How much more the cell that changed most did so than the median cell."""


def change_between(
    first: UInt8[np.ndarray, "height width"], second: UInt8[np.ndarray, "height width"]
) -> Change:
    """What changed from one frame's luma to another's. Memory: two bytes a pixel."""
    distances = np.maximum(first, second)
    distances -= np.minimum(first, second)
    cells = cell_means(distances)
    mean = float(distances.sum(dtype=np.int64)) / distances.size
    return Change(mean, float(cells.max() - np.median(cells)))


def motion_features(
    changes: list[Change], frames: list[Float64[np.ndarray, " _"]]
) -> tuple[float, ...]:
    """The values of ``MOTION_NAMES``.

    Of ``changes`` between frames that follow on each other, the mean and the least; of any two of
    ``frames``, given by their cells, the least mean difference; of the changes the most local. What
    has nothing to compare is 0.
    """
    if not changes:
        return 0.0, 0.0, _least_difference(frames), 0.0
    means = [change.mean for change in changes]
    most_local = max(change.local for change in changes)
    return sum(means) / len(means), min(means), _least_difference(frames), most_local


def _least_difference(frames: list[Float64[np.ndarray, " _"]]) -> float:
    """Of frames with as many cells as each other: a video may change its size on the way."""
    found: list[float] = []
    for size in {frame.size for frame in frames}:
        means = np.stack([frame for frame in frames if frame.size == size])
        found += [
            float(np.abs(means[now + 1 :] - means[now]).mean(axis=1).min())
            for now in range(len(means) - 1)
        ]
    return min(found, default=0.0)

"""The features of one video, of frames that come one by one."""

from typing import final

import numpy as np
from jaxtyping import Float64, UInt8

from reelfit.features import FRAME_FEATURES, PIXEL_NAMES
from reelfit.features.cells import cell_means
from reelfit.features.frame import Frame
from reelfit.features.motion import Change, change_between, motion_features


@final
class VideoFeatures:
    """Takes the frames ``wanted`` of a video and gives ``PIXEL_NAMES`` their values.

    ``sampled`` are measured by themselves. Each is compared with the frame that follows it, the
    last one of the video with the one before: motion is seen only there.
    Memory: the frame taken, the luma of the one before it where frames come in their order, and
    2 KiB a sampled frame.
    """

    def __init__(self, sampled: list[int], *, frame_count: int) -> None:
        self._sampled = frozenset(sampled)
        last = frame_count - 1
        firsts = {min(index, last - 1) for index in sampled} if last else set()
        self._pairs = frozenset((first, first + 1) for first in firsts)
        self.wanted = sorted(self._sampled.union(*self._pairs))
        self._begin()

    def _begin(self) -> None:
        self._values: dict[int, tuple[float, ...]] = {}
        self._cells: dict[int, Float64[np.ndarray, "rows columns"]] = {}
        self._changes: dict[tuple[int, int], Change | None] = {}
        self._held: dict[int, UInt8[np.ndarray, "height width"]] = {}
        self._seen: set[int] = set()

    def take(self, index: int, picture: UInt8[np.ndarray, "3 height width"]) -> None:
        """Measures frame ``index``; one that comes again says that all of them come anew."""
        if index in self._seen:
            self._begin()
        self._seen.add(index)
        frame = Frame(picture)
        if index in self._sampled:
            groups = FRAME_FEATURES.values()
            self._values[index] = tuple(v for group in groups for v in group.measure(frame))
            self._cells[index] = cell_means(frame.levels)
        self._held[index] = frame.levels
        for pair in ((index - 1, index), (index, index + 1)):
            if pair in self._pairs and self._held.keys() >= set(pair):
                first, second = (self._held[at] for at in pair)
                # A video may change its size on the way: there is nothing to compare then.
                alike = first.shape == second.shape
                self._changes[pair] = change_between(first, second) if alike else None
        waiting = {at for pair in self._pairs - self._changes.keys() for at in pair}
        self._held = {at: levels for at, levels in self._held.items() if at in waiting}

    def values(self) -> dict[str, float]:
        """All values, by the names in ``PIXEL_NAMES`` and in that order; all of them finite."""
        by_frame = np.array([self._values[at] for at in sorted(self._sampled)])
        found: list[float] = []
        for values in by_frame.T:
            # Of equal values the deviation is 0, and not the rounding of their mean.
            found += [float(values.mean()), float(np.std(values - values[0]))]
        changes = [change for _, change in sorted(self._changes.items()) if change is not None]
        cells = [self._cells[at].ravel() for at in sorted(self._sampled)]
        found += motion_features(changes, cells)
        return dict(zip(PIXEL_NAMES, found, strict=True))

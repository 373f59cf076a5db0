"""Frames lost, shown twice, played backwards, and at another speed."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames


@final
class TemporalDrop(ClipAugmentation):
    """Lost frames, each replaced by the one before it; strength is their largest share (0..1).

    All others keep their place in time.
    """

    max_strength = 1.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``indices``: the frame to show at each place; one frame is always kept."""
        most = max(1, round(strength * num_frames))
        count = min(int(generator.integers(1, most + 1)), num_frames - 1)
        lost = set(generator.choice(num_frames, size=count, replace=False).tolist())
        kept = [index for index in range(num_frames) if index not in lost]
        before = [max(bisect_right(kept, index) - 1, 0) for index in range(num_frames)]
        return {"indices": [kept[place] for place in before]}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip without the lost frames."""
        return _shown(frames, drawn["indices"])


@final
class TemporalDuplicate(ClipAugmentation):
    """Frames shown twice; strength is their largest share (0..1).

    What follows comes later, and the last frames do not come at all.
    """

    max_strength = 1.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``indices``: the frame to show at each place."""
        most = max(1, round(strength * num_frames))
        count = min(int(generator.integers(1, most + 1)), num_frames - 1)
        # The last frame has no place left for its second showing.
        twice = generator.permutation(num_frames - 1)[:count].tolist()
        return {"indices": sorted([*range(num_frames), *twice])[:num_frames]}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with its repetitions."""
        return _shown(frames, drawn["indices"])


@final
class TemporalReverse(ClipAugmentation):
    """Played backwards; strength is the share of clips (0..1)."""

    max_strength = 1.0
    probability = None

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """Nothing: the reverse has no parameters."""
        return {}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip from its end to its beginning."""
        return frames.flip(0)


@final
class TemporalSpeed(ClipAugmentation):
    """Played faster or slower about its middle; strength sets the largest factor (0..3).

    The factor is at most 1 + strength, up or down. Frames are the nearest ones, never blends. A
    clip holds nothing before its first frame and after its last: played faster, these two stand
    still at the ends for as long as frames are missing; played slower, what lies at the ends is
    not shown, and some frames come several times in a row.
    """

    max_strength = 3.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``indices``: the frame to show at each place."""
        factor, middle = (1 + strength) ** generator.uniform(-1, 1), (num_frames - 1) / 2
        places = [round(middle + factor * (place - middle)) for place in range(num_frames)]
        return {"indices": [min(max(place, 0), num_frames - 1) for place in places]}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip at its new speed."""
        return _shown(frames, drawn["indices"])


def _shown(frames: Frames, indices: Sequence[int]) -> Frames:
    if len(indices) != len(frames):
        raise ValueError(f"drawn for a clip of {len(indices)} frames, this one has {len(frames)}")
    return frames[torch.tensor(indices, device=frames.device)]

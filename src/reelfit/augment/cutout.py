"""Cutout: a square of the picture taken away."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames

_MIDDLE_GREY = 128


@final
class Cutout(ClipAugmentation):
    """A grey square at the same place in all frames.

    Strength is the largest side as a share of the picture's shorter side (0..1). The centre lies
    anywhere in the picture, so that the square may stick out of it. Source: T. DeVries and
    G. Taylor, Improved regularization of convolutional neural networks with cutout (2017).
    """

    max_strength = 1.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``side`` as a share of the shorter side; ``x`` and ``y`` of the centre as shares."""
        side = generator.uniform(strength / 2, strength)
        x, y = generator.random(2).tolist()
        return {"side": side, "x": x, "y": y}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with its square; at least one pixel."""
        height, width = frames.shape[-2:]
        side = max(1, round(drawn["side"] * min(height, width)))
        top = int(drawn["y"] * height) - side // 2
        left = int(drawn["x"] * width) - side // 2
        cut = frames.clone()
        cut[..., max(top, 0) : top + side, max(left, 0) : left + side] = _MIDDLE_GREY
        return cut

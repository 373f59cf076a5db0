"""Flip, rotation, shear, translation and scale."""

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from typing_extensions import override

from reelfit.augment.augmentation import (
    ClipAugmentation,
    Frames,
    GeometricAugmentation,
    Places,
)
from reelfit.augment.warp import affine


@final
class HorizontalFlip(ClipAugmentation):
    """Left becomes right; strength is the share of clips (0..1)."""

    max_strength = 1.0
    probability = None

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """Nothing: a flip has no parameters."""
        return {}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The mirrored clip."""
        return frames.flip(-1)


@final
class Rotation(GeometricAugmentation):
    """Turned about its centre; strength is the largest angle in degrees (0..180)."""

    max_strength = 180.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``degrees``, counter-clockwise, even over -strength..strength."""
        return {"degrees": generator.uniform(-strength, strength)}

    @override
    def sources(self, places: Places, drawn: Mapping[str, Any]) -> Places:
        """The places turned back; what comes in at the corners is the mirrored picture."""
        angle = math.radians(drawn["degrees"])
        cosine, sine = math.cos(angle), math.sin(angle)
        return affine(places, ((cosine, -sine), (sine, cosine)))


@final
class Shear(GeometricAugmentation):
    """Slanted about its centre; strength is the largest angle in degrees (0..30)."""

    max_strength = 30.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``x`` and ``y`` in degrees, each even over -strength..strength.

        ``x`` is how far upright lines lean to the left, ``y`` how far level ones fall to the right.
        """
        x, y = generator.uniform(-strength, strength, size=2).tolist()
        return {"x": x, "y": y}

    @override
    def sources(self, places: Places, drawn: Mapping[str, Any]) -> Places:
        """The places set upright again; what comes in at the border is the mirrored picture."""
        x, y = (math.tan(math.radians(drawn[name])) for name in ("x", "y"))
        size = 1 - x * y
        return affine(places, ((1 / size, -x / size), (-y / size, 1 / size)))


@final
class TranslationScale(GeometricAugmentation):
    """Moved and zoomed; strength is a share of the sides (0..1).

    The picture moves by at most this share of each side, and its size changes by at most the
    factor 1 + strength, up or down.
    """

    max_strength = 1.0
    probability = 0.5

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``right`` and ``down`` as shares of the sides, and the factor ``scale``."""
        right, down = generator.uniform(-strength, strength, size=2).tolist()
        return {"right": right, "down": down, "scale": (1 + strength) ** generator.uniform(-1, 1)}

    @override
    def sources(self, places: Places, drawn: Mapping[str, Any]) -> Places:
        """The places moved back; what comes in at the border is the mirrored picture."""
        height, width = places.x.shape
        smaller = 1 / drawn["scale"]
        moved = (drawn["right"] * width, drawn["down"] * height)
        return affine(places, ((smaller, 0.0), (0.0, smaller)), moved=moved)

"""Gaussian blur."""

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int32
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import Augmentation, Frames

_WEIGHT_BITS = 12
_BETWEEN_BITS = 4


@final
class Blur(Augmentation):
    """Gaussian blur; strength is the largest standard deviation in pixels (0..10)."""

    max_strength = 10.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``sigma`` in pixels, even over a tenth of the strength to all of it."""
        return {"sigma": generator.uniform(strength / 10, strength)}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The blurred clip; the border is mirrored."""
        weights = _weights(drawn["sigma"])
        # 1/16 of a level is kept between the passes: 32 bits hold that times a weight, summed.
        wide = _along(-1, frames.int(), weights, drop_bits=_WEIGHT_BITS - _BETWEEN_BITS)
        tall = _along(-2, wide, weights, drop_bits=_WEIGHT_BITS + _BETWEEN_BITS)
        return tall.to(torch.uint8)


def _weights(sigma: float) -> list[int]:
    """The kernel out to three standard deviations, in 1/4096, with a sum of exactly one."""
    radius = math.ceil(3 * sigma)
    bell = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    weights = [round(value / sum(bell) * (1 << _WEIGHT_BITS)) for value in bell]
    weights[radius] += (1 << _WEIGHT_BITS) - sum(weights)
    return weights


def _along(
    side: int,
    frames: Int32[Tensor, "time 3 height width"],
    weights: list[int],
    *,
    drop_bits: int,
) -> Int32[Tensor, "time 3 height width"]:
    length, radius = frames.shape[side], len(weights) // 2
    index = torch.arange(-radius, length + radius, device=frames.device).remainder(2 * length)
    padded = frames.index_select(side, torch.minimum(index, 2 * length - 1 - index))
    total = torch.full_like(frames, 1 << (drop_bits - 1))
    for start, weight in enumerate(weights):
        total.add_(padded.narrow(side, start, length), alpha=weight)
    return total.bitwise_right_shift_(drop_bits)

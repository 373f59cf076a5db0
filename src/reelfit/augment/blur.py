"""Gaussian blur."""

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames

_WEIGHT_BITS = 12
_BETWEEN_BITS = 4


@final
class Blur(ClipAugmentation):
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
        blurred = torch.empty_like(frames, memory_format=torch.contiguous_format)
        # Two frames at a time stay in the processor's cache; 1/16 of a level is kept between the
        # passes: 32 bits hold that times a weight, summed.
        for some, out in zip(torch.split(frames, 2), torch.split(blurred, 2), strict=True):
            tall = _along(-2, some.int(), weights, drop_bits=_WEIGHT_BITS - _BETWEEN_BITS)
            out.copy_(_along(-1, tall, weights, drop_bits=_WEIGHT_BITS + _BETWEEN_BITS))
        return blurred


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
    before, after = (
        frames.index_select(side, _mirrored(places, length=length).to(frames.device))
        for places in (torch.arange(-radius, 0), torch.arange(length, length + radius))
    )
    padded = torch.cat([before, frames, after], side)
    # Shifted as one long row, which is faster; what runs over from row to row is cut at the end.
    flat, step = padded.view(-1), padded.stride(side)
    count = len(flat) - 2 * radius * step
    total, both = torch.empty_like(flat), torch.empty_like(flat[:count])
    sums = torch.mul(flat.narrow(0, radius * step, count), weights[radius], out=total[:count])
    for away in range(1, radius + 1):
        near, far = (flat.narrow(0, (radius + k) * step, count) for k in (-away, away))
        sums.add_(torch.add(near, far, out=both), alpha=weights[radius + away])
    sums.add_(1 << (drop_bits - 1)).bitwise_right_shift_(drop_bits)
    return total.view(padded.shape).narrow(side, 0, length)


def _mirrored(index: Int64[Tensor, " places"], *, length: int) -> Int64[Tensor, " places"]:
    inside = index.remainder(2 * length)
    return torch.minimum(inside, 2 * length - 1 - inside)

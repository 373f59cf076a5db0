"""Gaussian noise."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int16
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames

_QUANTILE_BITS = 12
_NUM_QUANTILES = 1 << _QUANTILE_BITS
_QUANTILES = torch.tensor(
    [NormalDist().inv_cdf((rank + 0.5) / _NUM_QUANTILES) for rank in range(_NUM_QUANTILES)],
    dtype=torch.float64,
)


@final
class Noise(ClipAugmentation):
    """Gaussian noise, fresh for each frame, pixel and channel.

    Strength is the largest standard deviation in levels of 0..255 (0..128).
    """

    max_strength = 128.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``sigma`` in levels, even over 0..strength, and the ``seed`` of the noise."""
        return {"sigma": generator.uniform(0, strength), "seed": int(generator.integers(2**63))}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The noisy clip.

        Source: inversion, from a table of quantiles (L. Devroye, Non-uniform random variate
        generation, 1986, chapter 2). torch's own normal numbers differ in their last bits from
        one vector unit to the next, and on a GPU altogether.
        """
        levels: Tensor = (_QUANTILES * drawn["sigma"]).round().to(frames.device, torch.int16)
        ranks = _ranks(drawn["seed"], count=frames.numel()).to(frames.device)
        noise = levels.index_select(0, ranks.int().add_(_NUM_QUANTILES // 2)).view(frames.shape)
        return noise.add_(frames).clamp_(0, 255).to(torch.uint8)


def _ranks(seed: int, *, count: int) -> Int16[Tensor, " count"]:
    """Even over as many whole numbers as there are quantiles, half of them below zero.

    NumPy promises the bits of its bit generators for all its versions, torch does not; four ranks
    are cut from each 64 bits.
    """
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    bits = torch.from_numpy(words.astype("<u8", copy=False).view("<i2"))[:count]
    return bits.bitwise_right_shift_(16 - _QUANTILE_BITS)

"""Gaussian noise."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import Augmentation, Frames

_NUM_QUANTILES = 1 << 12
_QUANTILES = torch.tensor(
    [NormalDist().inv_cdf((rank + 0.5) / _NUM_QUANTILES) for rank in range(_NUM_QUANTILES)],
    dtype=torch.float64,
)


@final
class Noise(Augmentation):
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
        generator = torch.Generator().manual_seed(drawn["seed"])
        ranks = torch.randint(
            _NUM_QUANTILES, frames.shape, generator=generator, dtype=torch.int32
        ).to(frames.device)
        levels: Tensor = (_QUANTILES * drawn["sigma"]).round().to(frames.device, torch.int16)
        return levels[ranks].add_(frames).clamp_(0, 255).to(torch.uint8)

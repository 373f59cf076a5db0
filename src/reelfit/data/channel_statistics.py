"""Mean and standard deviation of each colour channel, and clips normalised by them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from reelfit.errors import StudyError

CHANNELS = ("red", "green", "blue")
_LEVELS = 256
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ChannelStatistics:
    """Of pixels from 0 to 1, by channel; the deviation is that of all of them, not a sample's."""

    mean: Triple
    std: Triple
    clips: int


@dataclass(frozen=True)
class Normalisation:
    """What makes clips whose pixels, from 0 to 1, have this mean and deviation, have 0 and 1.

    Halves would leave -1..1 as it is.
    """

    mean: Triple
    std: Triple

    def __post_init__(self) -> None:
        for channel, std in zip(CHANNELS, self.std, strict=True):
            if not std > 0:
                raise StudyError(
                    f"train.normalize: {channel} is the same in every pixel of the training clips, "
                    "so its deviation divides nothing: write halves, or give mean and std",
                    place=("train", "normalize"),
                )

    def apply(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch time 3 height width"]:
        """Clips in -1..1, as networks get them, normalised. Memory: the clips once more."""
        mean, std = (clips.new_tensor(each).view(3, 1, 1) for each in (self.mean, self.std))
        return torch.addcmul((0.5 - mean) / std, clips, 0.5 / std)


def measure_channels(
    clips: Iterable[UInt8[np.ndarray, "time 3 height width"]],
) -> ChannelStatistics:
    """Of all pixels of ``clips``, in one pass and exact, since levels are counted.

    Memory: one clip, eight times a frame's channel.

    Raises:
        ValueError: there is no clip.
    """
    counts, number = np.zeros((3, _LEVELS), np.int64), 0
    for clip in clips:
        number += 1
        for frame in clip:
            for channel, values in enumerate(frame):
                counts[channel] += np.bincount(values.ravel(), minlength=_LEVELS)
    if not number:
        raise ValueError("no clip, no statistics")
    red, green, blue = (_of_counts(each.tolist()) for each in counts)
    return ChannelStatistics((red[0], green[0], blue[0]), (red[1], green[1], blue[1]), clips=number)


def _of_counts(counts: list[int]) -> tuple[float, float]:
    """Mean and deviation of levels, as shares of the highest; in whole numbers to the end."""
    pixels, most = sum(counts), _LEVELS - 1
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level * level * count for level, count in enumerate(counts))
    variance = (pixels * squares - total * total) / (pixels * most) ** 2
    return total / (pixels * most), sqrt(variance)

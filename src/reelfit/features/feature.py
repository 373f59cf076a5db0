"""The contract of a feature: a function of the grey clip; and the two ways to sum up a frame."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from reelfit.features.grey_clip import GreyClip

PerFrame: TypeAlias = Float64[np.ndarray, " time"]
FrameFeature: TypeAlias = Callable[[GreyClip], PerFrame]
ClipFeature: TypeAlias = Callable[[GreyClip], float]


def frame_means(values: Float32[np.ndarray, "time ..."]) -> PerFrame:
    """The mean of each frame's values, summed in float64."""
    return np.asarray(np.mean(values.reshape(len(values), -1), axis=1, dtype=np.float64))


def frame_stds(values: Float32[np.ndarray, "time ..."]) -> PerFrame:
    """The standard deviation of each frame's values, summed in float64."""
    return np.asarray(np.std(values.reshape(len(values), -1), axis=1, dtype=np.float64))

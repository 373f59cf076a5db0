"""What a median filter takes away: sensor noise, and whatever tampering left of it.

Source: the median filter residual of X. Kang, M. Stamm, A. Peng and K. Liu, Robust median
filtering forensics using an autoregressive model (2013).
"""

import numpy as np

from reelfit.features.feature import PerFrame, frame_means, frame_stds
from reelfit.features.grey_clip import GreyClip


def noise_residual_energy(clip: GreyClip) -> PerFrame:
    """The mean square of the residual."""
    return frame_means(np.square(clip.residual))


def noise_residual_mean(clip: GreyClip) -> PerFrame:
    """The mean of the residual's absolute value."""
    return frame_means(np.abs(clip.residual))


def noise_residual_std(clip: GreyClip) -> PerFrame:
    """The standard deviation of the residual."""
    return frame_stds(clip.residual)

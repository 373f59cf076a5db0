"""The discrete cosine transform of 8 x 8 blocks: what compression keeps and leaves out.

Source: N. Ahmed, T. Natarajan and K. Rao, Discrete cosine transform (1974).
"""

import numpy as np

from reelfit.features.feature import PerFrame, frame_means, frame_stds
from reelfit.features.grey_clip import BLOCK, GreyClip


def dct_dc_mean(clip: GreyClip) -> PerFrame:
    """The mean over blocks of the DC coefficient: eight times the mean level."""
    return frame_means(clip.coefficients[:, :, 0])


def dct_dc_std(clip: GreyClip) -> PerFrame:
    """The standard deviation over blocks of the DC coefficient."""
    return frame_stds(clip.coefficients[:, :, 0])


def dct_ac_mean(clip: GreyClip) -> PerFrame:
    """The mean of the AC coefficients' absolute values."""
    return frame_means(np.abs(clip.coefficients[:, :, 1:]))


def dct_ac_std(clip: GreyClip) -> PerFrame:
    """The standard deviation of the AC coefficients."""
    return frame_stds(clip.coefficients[:, :, 1:])


def dct_ac_energy(clip: GreyClip) -> PerFrame:
    """The mean over blocks of the sum of the squared AC coefficients."""
    return (BLOCK * BLOCK - 1) * frame_means(np.square(clip.coefficients[:, :, 1:]))

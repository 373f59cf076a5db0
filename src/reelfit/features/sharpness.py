"""Focus and edges: a pasted region is seldom as sharp as its surroundings."""

import numpy as np

from reelfit.features.feature import PerFrame, frame_means, frame_stds
from reelfit.features.grey_clip import GreyClip


def laplacian_variance(clip: GreyClip) -> PerFrame:
    """The variance of the Laplacian of four neighbours.

    Source: J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy (2000).
    """
    around = clip.around
    beside = around[:, 1:-1, :-2] + around[:, 1:-1, 2:] + around[:, :-2, 1:-1] + around[:, 2:, 1:-1]
    return np.asarray(np.square(frame_stds(beside - 4 * clip.levels)))


def gradient_mean(clip: GreyClip) -> PerFrame:
    """The mean length of Sobel's gradient.

    Source: I. Sobel, An isotropic 3 x 3 image gradient operator (1968, printed 2014).
    """
    return frame_means(clip.gradient)


def gradient_std(clip: GreyClip) -> PerFrame:
    """The standard deviation of the length of Sobel's gradient."""
    return frame_stds(clip.gradient)

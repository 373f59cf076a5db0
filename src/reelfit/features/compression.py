"""The seams between blocks that compression leaves behind."""

import numpy as np
from jaxtyping import Float32

from reelfit.features.feature import PerFrame, frame_means
from reelfit.features.grey_clip import BLOCK, GreyClip


def blocking(clip: GreyClip) -> PerFrame:
    """How much larger the steps over the borders of 8 x 8 blocks are than those inside.

    The mean over both directions; 0 along a side without a border. Source: the measure B of
    Z. Wang, H. Sheikh and A. Bovik, No-reference perceptual quality assessment of JPEG compressed
    images (2002), less the mean step inside, so that a flat frame has a value too.
    """
    across = np.abs(np.diff(clip.levels, axis=2))
    down = np.abs(np.diff(clip.levels, axis=1)).transpose(0, 2, 1)
    return np.asarray((_inconsistency(across) + _inconsistency(down)) / 2)


def _inconsistency(steps: Float32[np.ndarray, "time lines steps"]) -> PerFrame:
    at_border = np.arange(steps.shape[2]) % BLOCK == BLOCK - 1
    if not at_border.any():
        return np.zeros(len(steps))
    inside = frame_means(steps[:, :, ~at_border])
    return np.asarray(frame_means(steps[:, :, at_border]) - inside)

"""What changes from frame to frame: frozen and repeated frames, patches that move by themselves.

A clip of one frame has nothing to compare: each of these is then 0.
Source: after W. Wang and H. Farid, Exposing digital forgeries in video by detecting duplication
(2007), who compare frames and blocks by correlation; differences are cheaper.
"""

import numpy as np
from jaxtyping import Float64

from reelfit.features.feature import frame_means
from reelfit.features.grey_clip import BLOCK, GreyClip


def frame_difference_mean(clip: GreyClip) -> float:
    """The mean absolute difference of consecutive frames."""
    return float(np.mean(_differences(clip))) if len(clip.levels) > 1 else 0.0


def frame_difference_min(clip: GreyClip) -> float:
    """The least mean absolute difference of consecutive frames; 0 where one is frozen."""
    return float(np.min(_differences(clip))) if len(clip.levels) > 1 else 0.0


def repeated_frame_difference(clip: GreyClip) -> float:
    """The least mean absolute difference of any two frames' block means.

    0 where a frame comes again, at once or later.
    """
    means = clip.coefficients[:, :, 0].astype(np.float64) / BLOCK
    if len(means) == 1:
        return 0.0
    return float(
        min(
            np.abs(means[now + 1 :] - means[now]).mean(axis=1).min()
            for now in range(len(means) - 1)
        )
    )


def local_motion(clip: GreyClip) -> float:
    """How much more a block changes than the median block between two frames, at the most."""
    if len(clip.levels) == 1:
        return 0.0
    changes = _block_differences(clip)
    return float(np.max(np.max(changes, axis=1) - np.median(changes, axis=1)))


def _differences(clip: GreyClip) -> Float64[np.ndarray, " pairs"]:
    return frame_means(np.abs(np.diff(clip.levels, axis=0)))


def _block_differences(clip: GreyClip) -> Float64[np.ndarray, "pairs blocks"]:
    changes = np.abs(np.diff(clip.blocks, axis=0))
    return np.asarray(np.mean(changes, axis=(2, 4), dtype=np.float64)).reshape(len(changes), -1)

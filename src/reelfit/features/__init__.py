"""The tables of handcrafted features; docs/features.md has the formula and source of each."""

import numpy as np
from jaxtyping import UInt8

from reelfit.features.block_transform import (
    dct_ac_energy,
    dct_ac_mean,
    dct_ac_std,
    dct_dc_mean,
    dct_dc_std,
)
from reelfit.features.compression import blocking
from reelfit.features.feature import ClipFeature, FrameFeature
from reelfit.features.grey_clip import GreyClip
from reelfit.features.motion import (
    frame_difference_mean,
    frame_difference_min,
    local_motion,
    repeated_frame_difference,
)
from reelfit.features.noise_residual import (
    noise_residual_energy,
    noise_residual_mean,
    noise_residual_std,
)
from reelfit.features.sharpness import gradient_mean, gradient_std, laplacian_variance

FRAME_FEATURES: dict[str, FrameFeature] = {
    "noise_residual_energy": noise_residual_energy,
    "noise_residual_mean": noise_residual_mean,
    "noise_residual_std": noise_residual_std,
    "dct_dc_mean": dct_dc_mean,
    "dct_dc_std": dct_dc_std,
    "dct_ac_mean": dct_ac_mean,
    "dct_ac_std": dct_ac_std,
    "dct_ac_energy": dct_ac_energy,
    "laplacian_variance": laplacian_variance,
    "gradient_mean": gradient_mean,
    "gradient_std": gradient_std,
    "blocking": blocking,
}
"""One value per frame; a clip gets their mean and their standard deviation over time."""

CLIP_FEATURES: dict[str, ClipFeature] = {
    "frame_difference_mean": frame_difference_mean,
    "frame_difference_min": frame_difference_min,
    "repeated_frame_difference": repeated_frame_difference,
    "local_motion": local_motion,
}
"""One value per clip."""

FEATURE_NAMES: list[str] = [
    *(f"{name}_{over_time}" for name in FRAME_FEATURES for over_time in ("mean", "temporal_std")),
    *CLIP_FEATURES,
    "bit_rate",
    "frame_rate",
    "width",
    "height",
]
"""The columns of the features' table, in order."""


def clip_features(
    frames: UInt8[np.ndarray, "time 3 height width"],
    *,
    bit_rate: int | None,
    fps: float | None,
    width: int,
    height: int,
) -> dict[str, float]:
    """All features of one clip, by the names in ``FEATURE_NAMES`` and in that order.

    ``bit_rate`` (per second), ``fps``, ``width`` and ``height`` are those of the video, not of the
    clip. All values are finite: a bit rate or frame rate that the file does not tell is 0.
    """
    clip = GreyClip(frames)
    values: dict[str, float] = {}
    for name, over_frames in FRAME_FEATURES.items():
        by_frame = over_frames(clip)
        values[f"{name}_mean"] = float(np.mean(by_frame))
        values[f"{name}_temporal_std"] = float(np.std(by_frame))
    values |= {name: over_clip(clip) for name, over_clip in CLIP_FEATURES.items()}
    values["bit_rate"] = float(bit_rate or 0)
    values["frame_rate"] = float(fps or 0)
    return values | {"width": float(width), "height": float(height)}

"""The tables of handcrafted features; docs/features.md has the formula and source of each."""

from reelfit.features.block_transform import BLOCK_TRANSFORM
from reelfit.features.colour import COLOUR
from reelfit.features.compression import COMPRESSION
from reelfit.features.edges import EDGES
from reelfit.features.feature import FrameFeatures
from reelfit.features.motion import MOTION_NAMES
from reelfit.features.noise_residual import NOISE_RESIDUAL
from reelfit.features.scaling import SCALING_NAMES
from reelfit.features.sharpness import SHARPNESS
from reelfit.features.texture import TEXTURE

FRAME_FEATURES: dict[str, FrameFeatures] = {
    "noise_residual": NOISE_RESIDUAL,
    "block_transform": BLOCK_TRANSFORM,
    "sharpness": SHARPNESS,
    "compression": COMPRESSION,
    "edges": EDGES,
    "texture": TEXTURE,
    "colour": COLOUR,
}
"""One value per name and frame; a video gets their mean and their deviation over its frames."""

CONTAINER_NAMES = ("bit_rate", "frame_rate", "width", "height")
"""What the container says of the video."""

FRAME_NAMES: list[str] = [name for group in FRAME_FEATURES.values() for name in group.names]

PIXEL_NAMES: list[str] = [
    *(f"{name}_{over_time}" for name in FRAME_NAMES for over_time in ("mean", "temporal_std")),
    *MOTION_NAMES,
]
"""What is measured on the frames of a video, whatever its clip is made into."""

FEATURE_NAMES: list[str] = [*PIXEL_NAMES, *CONTAINER_NAMES, *SCALING_NAMES]
"""The columns of the features' table, in order."""

_ADDED = ("compression_artefacts", "edge_density", "texture_uniformity", "colour_consistency")
"""What the names of those begin with that the second set has and the first has not."""

FIRST_NAMES: list[str] = [
    name
    for name in FEATURE_NAMES
    if not name.startswith(_ADDED) and name not in (*MOTION_NAMES, *SCALING_NAMES)
]
"""The columns of the first set: 12 values of a frame, bit rate, frame rate and size."""

SECOND_NAMES: list[str] = [name for name in FEATURE_NAMES if name not in MOTION_NAMES]
"""The columns of the second set: those of the first, and eight features more."""

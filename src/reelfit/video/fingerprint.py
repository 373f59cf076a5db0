"""What a picture looks like in 64 bits, which stay nearly the same through encoding and scaling."""

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from reelfit.video.picture import resize

FRAMES = 5
"""Frames of a video that are fingerprinted at the most, spread evenly over its clip."""
_SIDE = 32
_FREQUENCIES = 8
_FAINT = 1.0
"""Levels of 255: where all the coefficients together make less contrast, noise sets the bits."""
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


def fingerprint(picture: UInt8[Tensor, "3 height width"]) -> int | None:
    """64 bits of which unlike pictures differ in about 32, and a picture and its copy in few.

    The picture is shrunk to 32 x 32 levels of grey. Each bit says whether one of its 64 lowest
    cosine coefficients is above their median. Those that vary along one axis alone are not among
    them, so that bars above or beside a picture play no part. None where the picture is too flat to
    tell it from any other: black, a single colour, a plain slope.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), the
    hash by discrete cosine transform of the pHash library.
    """
    small = resize(picture, (_SIDE, _SIDE), "stretch").numpy().astype(np.float64)
    grey = _RED * small[0] + _GREEN * small[1] + _BLUE * small[2]
    coefficients = low_frequencies(grey).ravel()
    if np.sqrt(np.square(coefficients).sum()) / _SIDE < _FAINT:
        return None
    bits = np.packbits(coefficients > np.median(coefficients))
    return int.from_bytes(bits.tobytes())


def low_frequencies(
    grey: Float[np.ndarray, "side side"],
) -> Float[np.ndarray, "8 8"]:
    """The orthonormal cosine coefficients 1 to 8 of a square picture, along both axes."""
    side = len(grey)
    frequencies = np.arange(1, _FREQUENCIES + 1)[:, None]
    waves = np.cos(np.pi * frequencies * (2 * np.arange(side) + 1) / (2 * side))
    waves *= np.sqrt(2 / side)
    lowest: Float[np.ndarray, "8 8"] = waves @ grey @ waves.T
    return lowest


def spread_places(count: int) -> list[int]:
    """Which of the ``count`` frames of a clip are fingerprinted: the middles of equal parts."""
    parts = min(count, FRAMES)
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]

"""The seams between blocks that compression leaves behind."""

import numpy as np
from jaxtyping import Float64, UInt8

from reelfit.features.feature import FrameFeatures
from reelfit.features.frame import BLOCK, Frame

Profile = Float64[np.ndarray, " _"]

_ROUNDING = 1e-18
"""The mean square below which steps are equal, but for the rounding of their means."""


def _measure(frame: Frame) -> tuple[float, ...]:
    """``blocking`` and ``compression_artefacts``, each the mean over both directions."""
    profiles = _step_profiles(frame)
    return (
        sum(_blocking(profile) for profile in profiles) / 2,
        sum(_periodic_share(profile) for profile in profiles) / 2,
    )


def _step_profiles(frame: Frame) -> tuple[Profile, Profile]:
    """The mean absolute step from each column to the next, and from each row to the next."""
    across = np.zeros(frame.width - 1, np.int64)
    down = np.zeros(frame.height, np.int64)
    for band in frame.bands():
        part = frame.around(band, 1)[1:, 1:-1]  # one row more below
        rows = part[:-1]
        across += _distances(rows[:, 1:], rows[:, :-1]).sum(axis=0, dtype=np.uint32)
        down[band.top : band.bottom] = _distances(part[1:], rows).sum(axis=1, dtype=np.uint32)
    return across / frame.height, down[:-1] / frame.width


def _distances(
    first: UInt8[np.ndarray, "rows columns"], second: UInt8[np.ndarray, "rows columns"]
) -> UInt8[np.ndarray, "rows columns"]:
    return np.asarray(np.maximum(first, second) - np.minimum(first, second))


def _blocking(profile: Profile) -> float:
    """How much larger the steps over the borders of 8 x 8 blocks are than those inside.

    0 along a side without a border. Source: the measure B of Z. Wang, H. Sheikh and A. Bovik,
    No-reference perceptual quality assessment of JPEG compressed images (2002), less the mean step
    inside, so that a flat frame has a value too.
    """
    at_border = np.arange(len(profile)) % BLOCK == BLOCK - 1
    if not at_border.any():
        return 0.0
    return float(profile[at_border].mean() - profile[~at_border].mean())


def _periodic_share(profile: Profile) -> float:
    """The share of the steps' variance that comes again every 8 pixels, from whichever on.

    The mean of 8 steps around each is taken away first: it holds the content and none of what is
    periodic. Then this is the power at 1/8, 2/8, 3/8 and 4/8 of the sampling rate over all power
    but the mean's. 0 along a side of fewer than 24 pixels, where nothing could come again.
    Source: after Z. Wang, A. Bovik and B. Evans, Blind measurement of blocking artifacts in images
    (2000), who compare these peaks with the spectrum around them.
    """
    if len(profile) < 3 * BLOCK - 1:
        return 0.0
    smooth = np.convolve(profile, np.full(BLOCK, 1 / BLOCK), mode="valid")
    rough = profile[BLOCK // 2 : BLOCK // 2 + len(smooth)] - smooth
    rough = rough[: len(rough) // BLOCK * BLOCK]
    rough -= rough.mean()
    whole = float(np.square(rough).sum())
    again = rough.reshape(-1, BLOCK)
    repeated = len(again) * float(np.square(again.mean(axis=0)).sum())
    return repeated / whole if whole > _ROUNDING * len(rough) else 0.0


COMPRESSION = FrameFeatures(("blocking", "compression_artefacts"), _measure)

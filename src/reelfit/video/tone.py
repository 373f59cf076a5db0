"""High dynamic range to standard: PQ or HLG in BT.2020 to BT.709 with a gamma of 2.4."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

SOURCE_NITS = 1000.0
"""The brightest light that is told apart: what most such videos are mastered for."""
WHITE_NITS = 203.0
"""The light that becomes full white: what ITU-R BT.2408 calls reference white."""

_BAND = 64  # rows at a time: the light of a whole 4K frame would take 100 MB
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


def tone_mapped(
    picture: UInt16[np.ndarray, "height width 3"], transfer: Literal["pq", "hlg"]
) -> UInt8[np.ndarray, "height width 3"]:
    """``picture`` (BT.2020, full range) for a screen of standard dynamic range.

    Light of up to a good third of reference white keeps its brightness; brighter light is drawn
    together, up to 1,000 nits at white, and keeps its hue.
    Source: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG), BT.2390 5.4.1 (the curve), BT.2087 (the
    primaries), BT.1886 (the gamma).
    """
    light = _LIGHT[transfer]
    mapped = np.empty(picture.shape, np.uint8)
    for top in range(0, len(picture), _BAND):
        band = light[picture[top : top + _BAND]]
        if transfer == "hlg":  # the system gamma of 1.2 of a screen of 1,000 nits
            scene = np.maximum(band @ _LUMINANCE, 1e-9)[..., None]
            band = band * scene**0.2 * SOURCE_NITS
        mapped[top : top + _BAND] = _for_screen(band)
    return mapped


def _for_screen(nits: Float32[np.ndarray, "rows width 3"]) -> UInt8[np.ndarray, "rows width 3"]:
    brightest = np.maximum(nits.max(axis=-1, keepdims=True), 1e-6)
    screen = nits * (drawn_together(brightest) / brightest / WHITE_NITS)
    narrow = np.clip(screen @ _TO_BT709.T, 0, 1)
    levels: np.ndarray = np.rint(255 * narrow ** np.float32(1 / 2.4))
    return levels.astype(np.uint8)


def drawn_together(nits: np.ndarray) -> np.ndarray:
    """Light of 0 to 1,000 nits as light of 0 to 203: a straight line, then a spline, in PQ."""
    most, white = to_pq(np.array([SOURCE_NITS, WHITE_NITS]))
    white = white / most
    knee = 1.5 * white - 0.5
    level = np.minimum(to_pq(nits) / most, 1)
    along = np.clip((level - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * along**3 - 3 * along**2 + 1) * knee
        + (along**3 - 2 * along**2 + along) * (1 - knee)
        + (3 * along**2 - 2 * along**3) * white
    )
    return from_pq(np.where(level < knee, level, spline) * most)


def to_pq(nits: np.ndarray) -> np.ndarray:
    """Light in nits as a PQ level of 0 to 1."""
    power = (nits / 10000) ** _M1
    level: np.ndarray = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return level


def from_pq(level: np.ndarray) -> np.ndarray:
    """A PQ level of 0 to 1 as light in nits."""
    power = level ** (1 / _M2)
    nits: np.ndarray = 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return nits


def from_hlg(level: np.ndarray) -> np.ndarray:
    """An HLG level of 0 to 1 as light of the scene, 0 to 1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    light: np.ndarray = np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)
    return light


_LEVELS = np.arange(65536) / 65535
_LIGHT = {
    "pq": from_pq(_LEVELS).astype(np.float32),
    "hlg": from_hlg(_LEVELS).astype(np.float32),
}

"""One frame at its own size, as the features read it: band by band, so that little is in memory."""

from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np
from jaxtyping import UInt8

BLOCK = 8
"""The side of a block in pixels, as JPEG, MPEG and H.264 transform it."""

HALO = 2
"""Rows and columns beyond the border that a feature may look at."""

_BAND_PIXELS = 1 << 16  # a few arrays of so many fit a processor's second cache
_RED, _GREEN, _BLUE, _BITS = 9798, 19235, 3735, 15


class Band(NamedTuple):
    """Some whole rows of a frame, from ``top`` to before ``bottom``."""

    top: int
    bottom: int


@final
class Frame:
    """A frame in colour and its luma in whole levels, 0 to 255.

    Beyond the border the nearest pixel is repeated. Memory: the picture, which is not copied, and
    a byte a pixel; what is made of them on the way is a band's.

    Source: ITU-R BT.601, in 15 bits as OpenCV's ``cvtColor`` rounds it.
    """

    def __init__(self, picture: UInt8[np.ndarray, "3 height width"]) -> None:
        self.picture = picture
        self.height, self.width = picture.shape[1:]
        room = HALO + BLOCK - 1  # below and to the right the last block may need filling
        shape = (HALO + self.height + room, HALO + self.width + room)
        self._padded: UInt8[np.ndarray, "taller wider"] = np.empty(shape, np.uint8)
        for band in self.bands():
            self.levels[band.top : band.bottom] = _luma(picture[:, band.top : band.bottom])
        _repeat_border(self._padded, self.height, self.width)

    @property
    def levels(self) -> UInt8[np.ndarray, "height width"]:
        """The luma."""
        return self._padded[HALO : HALO + self.height, HALO : HALO + self.width]

    def bands(self) -> Iterator[Band]:
        """All rows once, from the top; all bands but the last are whole rows of blocks."""
        rows = max(BLOCK, _BAND_PIXELS // self.width // BLOCK * BLOCK)
        for top in range(0, self.height, rows):
            yield Band(top, min(top + rows, self.height))

    def around(self, band: Band, halo: int) -> UInt8[np.ndarray, "taller wider"]:
        """The luma of ``band`` with ``halo`` (0 to 2) more rows and columns on each side."""
        first = HALO - halo
        rows = slice(band.top + first, band.bottom + HALO + halo)
        return self._padded[rows, first : HALO + self.width + halo]

    def blocks(self, band: Band) -> UInt8[np.ndarray, "rows 8 filled_width"]:
        """The luma of ``band`` in rows of blocks, incomplete ones filled."""
        num_rows = -(-(band.bottom - band.top) // BLOCK)
        filled = -(-self.width // BLOCK) * BLOCK
        top = band.top + HALO
        part = self._padded[top : top + num_rows * BLOCK, HALO : HALO + filled]
        return np.asarray(part).reshape(num_rows, BLOCK, filled)


def _luma(picture: UInt8[np.ndarray, "3 rows width"]) -> UInt8[np.ndarray, "rows width"]:
    red, green, blue = (channel.astype(np.uint32) for channel in picture)
    red *= _RED
    green *= _GREEN
    blue *= _BLUE
    red += green
    red += blue
    red += 1 << (_BITS - 1)
    red >>= _BITS
    return np.asarray(red.astype(np.uint8))


def _repeat_border(padded: UInt8[np.ndarray, "taller wider"], height: int, width: int) -> None:
    right, low = HALO + width, HALO + height
    padded[HALO:low, :HALO] = padded[HALO:low, HALO : HALO + 1]
    padded[HALO:low, right:] = padded[HALO:low, right - 1 : right]
    padded[:HALO] = padded[HALO]
    padded[low:] = padded[low - 1]

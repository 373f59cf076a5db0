"""How the numbers of a frame become colours: its matrix, its range, its dynamic range."""

from dataclasses import dataclass
from typing import Literal

import av

from reelfit.errors import VideoError

Transfer = Literal["sdr", "pq", "hlg"]
HD_HEIGHT = 720
"""Pixels: from here on, or from ``HD_WIDTH`` on, an untagged picture is taken for BT.709."""
HD_WIDTH = 1280

# Numbers of ISO/IEC 23091-2 (CICP), as FFmpeg has them.
_RGB, _BT709, _BT601, _BT2020 = 0, 1, 5, 9
_UNSPECIFIED = {2, 3}
_MATRICES = {_BT709: "bt709", 4: "fcc", _BT601: "bt601", 6: "bt601", 7: "smpte240m"}
_MATRICES |= {_BT2020: "bt2020", _RGB: "rgb"}
_TRANSFERS_OF_HDR: dict[int, Transfer] = {16: "pq", 18: "hlg"}


@dataclass(frozen=True)
class Colours:
    """How the numbers of a frame become colours."""

    matrix: str
    """bt601, bt709, bt2020, smpte240m or fcc; rgb and grey have none."""
    tagged: bool
    """Whether the file says so; else it was chosen by the size of the picture."""
    transfer: Transfer
    """The last two have a high dynamic range."""

    def code(self) -> int | None:
        """FFmpeg's number of a matrix that the file does not name; None where it knows."""
        return _BT709 if self.matrix == "bt709" and not self.tagged else None


def colours_of(frame: av.VideoFrame) -> Colours:
    """What ``frame`` says of its colours, and what is taken where it says nothing.

    Untagged pictures of 720 lines or 1,280 columns and more are BT.709, smaller ones BT.601.
    Source: ITU-T H.273, tables 3 and 4; the choice by size is that of common players.

    Raises:
        VideoError: a matrix that is not a matrix of RGB (ICtCp, YCgCo, constant luminance).
    """
    transfer = _TRANSFERS_OF_HDR.get(int(frame.color_trc), "sdr")
    components = frame.format.components
    if frame.format.is_rgb or frame.format.has_palette:
        return Colours("rgb", True, transfer)
    if len([part for part in components if not part.is_alpha]) == 1:
        return Colours("grey", True, transfer)
    stored = int(frame.colorspace)
    if stored in _UNSPECIFIED:
        large = frame.height >= HD_HEIGHT or frame.width >= HD_WIDTH
        return Colours("bt709" if large else "bt601", False, transfer)
    if stored not in _MATRICES:
        raise VideoError("colours that cannot be converted", f"the colour matrix {stored}")
    return Colours(_MATRICES[stored], True, transfer)

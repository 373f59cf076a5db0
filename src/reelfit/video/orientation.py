"""How a picture as stored is turned and mirrored to stand upright."""

from dataclasses import dataclass

import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import SideDataContainer, Type


@dataclass(frozen=True)
class Orientation:
    """First turned clockwise by ``rotation`` degrees, then flipped left to right if mirrored."""

    rotation: int = 0
    mirrored: bool = False


def orientation_of(frame: VideoFrame) -> Orientation:
    """What the display matrix of ``frame`` asks for, to the nearest quarter turn.

    PyAV and FFmpeg count ``frame.rotation`` the other way round (90 there is 270 here) and leave
    the mirroring out. The matrix takes (x, y), y downwards, to (ax + cy, bx + dy).

    Source: ISO/IEC 14496-12, 8.3.2 (matrix of the track header).
    """
    # frame.side_data is the same, but the frame then refers to it and it to the frame: such a pair
    # stays until the garbage collector comes by, 3 MB for each wanted frame of 1920 x 1080.
    side_data = SideDataContainer(frame)  # type: ignore[call-arg]  # the stub lacks its argument
    if Type.DISPLAYMATRIX not in side_data:
        return Orientation()
    stored = side_data[Type.DISPLAYMATRIX]
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(stored), np.int32)[:5])
    if a * d == b * c:  # not a turn at all: the file is wrong, the picture need not be
        return Orientation()
    quarter = (90 if b > 0 else 270) if abs(b) > abs(d) else (0 if d > 0 else 180)
    return Orientation(quarter, mirrored=a * d < b * c)

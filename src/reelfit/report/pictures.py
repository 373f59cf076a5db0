"""The frames of a clip as one small picture that a page carries in itself."""

import base64
import io
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from reelfit.report.content import Frames

_SIDE = 112
_MOST_FRAMES = 8
_GAP = 2
_QUALITY = 80
_NEUTRAL = 128  # between two frames; grey stands out least in light and in dark


class Picture(NamedTuple):
    """A JPEG as a data address, with its size in pixels."""

    address: str
    width: int
    height: int
    shown: int
    """How many frames it shows."""


def strip_picture(frames: Frames) -> Picture:
    """Up to eight evenly chosen frames side by side, none larger than 112 pixels.

    Memory: the thumbnails of the frames shown.
    """
    from matplotlib.image import imsave

    places = np.linspace(0, len(frames) - 1, min(len(frames), _MOST_FRAMES)).round().astype(int)
    thumbnails = [_thumbnail(frames[place]) for place in places]
    height = thumbnails[0].shape[0]
    gap = np.full((height, _GAP, 3), _NEUTRAL, dtype=np.uint8)
    beside = [part for thumbnail in thumbnails for part in (gap, thumbnail)][1:]
    strip = np.concatenate(beside, axis=1)
    written = io.BytesIO()
    imsave(written, strip, format="jpeg", pil_kwargs={"quality": _QUALITY})
    address = "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()
    return Picture(address, strip.shape[1], height, len(thumbnails))


def _thumbnail(frame: UInt8[np.ndarray, "3 height width"]) -> UInt8[np.ndarray, "rows columns 3"]:
    import av

    pixels = np.ascontiguousarray(frame.transpose(1, 2, 0))
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    if scale == 1.0:
        return pixels
    size = {"width": max(1, round(scale * width)), "height": max(1, round(scale * height))}
    whole = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return whole.reformat(**size, format="rgb24", interpolation="AREA").to_ndarray()

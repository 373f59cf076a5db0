"""H.264 by libx264 with one thread and fixed settings: the same frames give the same bytes."""

import math
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from reelfit.demo.source import Frames

QUALITY = 21.0
"""x264's constant rate factor, where nothing else is asked: 0 is lossless, 51 the worst."""
_BEST_QUALITY, _WORST_QUALITY = 8.0, 51.0  # below 8 a file that is mostly still hardly grows
CLOSE_ENOUGH = 0.02
"""The share by which files of one size may differ."""
_MOST_TRIES = 8
_QUALITIES_TO_E = 7.0
"""So much worse, and a file is about one e-th as long."""
_PRESET = "veryfast"
_REPEATABLE = "threads=1:lookahead-threads=1:cpu-independent=1:mbtree=0"
"""As x264 takes it. With its macroblock tree the same frames gave other bytes on every call."""


def video_bytes(frames: Frames, *, fps: Fraction, quality: float = QUALITY) -> bytes:
    """``frames`` as an MP4 file without times or names of its making. Sides are even."""
    file = BytesIO()
    options = {"fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        _settle(stream.codec_context, quality=quality)
        for frame in _video_frames(frames):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def video_of_size(frames: Frames, *, fps: Fraction, num_bytes: int) -> bytes:
    """The same at the quality that makes the file ``num_bytes`` long, within about 2 %.

    As a platform does it that brings all to one bit rate. Where no quality does, the nearest that
    was tried. Source: the false position method on the logarithm of the size.
    """
    low, high = _BEST_QUALITY, _WORST_QUALITY
    tried: dict[float, bytes] = {}
    excess: dict[float, float] = {}  # the logarithm of the size over the wanted one
    quality = QUALITY
    for _ in range(_MOST_TRIES):
        tried[quality] = video_bytes(frames, fps=fps, quality=quality)
        excess[quality] = math.log(len(tried[quality]) / num_bytes)
        if abs(excess[quality]) < CLOSE_ENOUGH or low == high:
            break
        if excess[quality] > 0:
            low = quality
        else:
            high = quality
        quality = _next_quality(excess, low, high)
    return tried[min(tried, key=lambda quality: abs(excess[quality]))]


def _next_quality(excess: dict[float, float], low: float, high: float) -> float:
    """Between the two that are known to be too large and too small, or a step beyond one."""
    if low in excess and high in excess:
        share = excess[low] / (excess[low] - excess[high])
        return low + (high - low) * min(max(share, 0.1), 0.9)
    known = low if low in excess else high
    step = excess[known] * _QUALITIES_TO_E
    return min(max(known + math.copysign(max(abs(step), 0.5), step), low), high)


def recompress(frames: Frames, *, fps: Fraction, quality: float) -> Frames:
    """``frames`` after H.264 at x264's constant rate factor ``quality``: 51 is the worst."""
    encoder = av.CodecContext.create("libx264", "w")
    decoder = av.CodecContext.create("h264", "r")
    encoder.height, encoder.width = frames.shape[1:3]
    encoder.framerate, encoder.time_base = fps, 1 / fps
    _settle(encoder, quality=quality)
    packets = [packet for frame in _video_frames(frames) for packet in encoder.encode(frame)]
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])


def _settle(context: VideoCodecContext, *, quality: float) -> None:
    context.pix_fmt = "yuv420p"
    context.thread_count = 1
    context.options = {
        "preset": _PRESET,
        "crf": f"{quality:.3f}",
        "flags": "+bitexact",
        "x264-params": _REPEATABLE,
    }


def _video_frames(frames: Frames) -> Iterator[av.VideoFrame]:
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        yield frame

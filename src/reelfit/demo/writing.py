"""H.264 by libx264 with one thread and fixed settings: the same frames give the same bytes."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from reelfit.demo.source import Frames

_QUALITY = 21
_PRESET = "veryfast"
_REPEATABLE = "threads=1:lookahead-threads=1:cpu-independent=1:mbtree=0"
"""As x264 takes it. With its macroblock tree the same frames gave other bytes on every call."""


def write_video(frames: Frames, path: Path, *, fps: Fraction) -> None:
    """``frames`` as an MP4 file without times or names of its making. Sides are even."""
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        _settle(stream.codec_context, quality=_QUALITY)
        for frame in _video_frames(frames):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def recompress(frames: Frames, *, fps: Fraction, quality: int) -> Frames:
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


def _settle(context: VideoCodecContext, *, quality: int) -> None:
    context.pix_fmt = "yuv420p"
    context.thread_count = 1
    context.options = {
        "preset": _PRESET,
        "crf": str(quality),
        "flags": "+bitexact",
        "x264-params": _REPEATABLE,
    }


def _video_frames(frames: Frames) -> Iterator[av.VideoFrame]:
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        yield frame

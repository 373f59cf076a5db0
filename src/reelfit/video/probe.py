"""What a video file holds, without decoding more than it must."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np

from reelfit.errors import VideoError
from reelfit.video.array_names import is_array
from reelfit.video.arrays import FrameArray, open_array
from reelfit.video.colour import colours_of
from reelfit.video.container import REST_LOST, OpenVideo, Packet, decode_tolerantly, open_video
from reelfit.video.orientation import orientation_of
from reelfit.video.packets import PacketIndex, Strategy, index_packets

OnDamage = Literal["reject", "keep_whole_frames"]
# What FFmpeg's demuxers say of a file that ends in the middle of a packet.
_CUT_OFF = ("ended prematurely", "partial file", REST_LOST)


@dataclass(frozen=True)
class VideoFacts:
    """What the index says of one video."""

    width: int
    """Pixels as stored, before the rotation."""
    height: int
    fps: float | None
    frame_count: int
    """Those to be shown from the first keyframe on; a damaged one among them counts, too."""
    duration_seconds: float | None
    codec: str
    pixel_format: str | None
    bit_rate: int | None
    """Bits a second of the video stream alone, measured over its packets."""
    rotation: int
    """Degrees clockwise, 0 to 270, that set the frames upright; ``decode`` has done it."""
    pixel_aspect: float
    """Width over height of a pixel as stored; ``decode`` makes them square."""
    colour_matrix: str
    """bt601, bt709, bt2020, smpte240m, fcc, rgb or grey."""
    colour_tagged: bool
    """Whether the file names its matrix; else it was chosen by the size, see ``colours_of``."""
    hdr: bool
    """Whether the frames have a high dynamic range."""
    strategy: Strategy
    """How ``decode`` takes its frames."""
    file_bytes: int


def probe(path: Path | str, *, on_damage: OnDamage = "reject") -> VideoFacts:
    """What ``path`` holds: one pass over its packets, and its first frame decoded.

    ``path`` may name an array of frames, too: ``a.npy``, or ``a.h5::dataset``.

    Frames are counted by their packets, whatever the header claims; one that cannot be decoded
    counts too, and ``decode`` refuses it. A file that ends in the middle of a frame, or that the
    container says has lost a part, is rejected, unless ``on_damage`` keeps its whole frames.
    Memory: one decoder, one frame, 10 bytes a packet.

    Raises:
        VideoError: the file cannot be used; ``reason`` is one of 'no such file', 'not a file',
            'empty file', 'cannot be read', 'not a video', 'no video stream', 'unknown codec',
            'too large', 'encrypted', 'no frames', 'truncated', 'damaged', 'colours that cannot
            be converted'; of an array also 'not an array of frames', 'no such dataset', 'a link
            out of the file', 'values out of range'.
        StudyError: it is in an HDF5 file, and h5py is not installed.
    """
    path = Path(path)
    if is_array(path):
        with open_array(path) as array:
            return _facts_of_array(array)
    with open_video(path) as video:
        first: list[av.VideoFrame] = []
        index = index_packets(video, _until_a_frame(video, first))
        if not index.shown.any():
            raise VideoError("no frames", video.said() or f"{path} has a header alone")
        said = video.said()
        cut_off = index.ends_damaged or any(sign in said for sign in _CUT_OFF)
        if cut_off and on_damage == "reject":
            raise VideoError("truncated", said or f"{path} ends in the middle of a frame")
        if video.losses and on_damage == "reject":
            raise VideoError("damaged", said or f"a part of {path} cannot be read")
        if not first:
            raise VideoError("damaged", said or f"no frame of {path} can be decoded")
        return _facts(path, video, index, first[0])


def _facts_of_array(array: FrameArray) -> VideoFacts:
    """What its shape says, once its first frame was read: an array has neither times nor tags."""
    array.picture(0)
    height, width = array.height_width
    return VideoFacts(
        width=width,
        height=height,
        fps=None,
        frame_count=len(array.values),
        duration_seconds=None,
        codec=array.codec,
        pixel_format=f"{array.layout} {array.values.dtype.name}",
        bit_rate=None,
        rotation=0,
        pixel_aspect=1.0,
        colour_matrix="grey" if array.layout == "grey" else "rgb",
        colour_tagged=True,
        hdr=False,
        strategy="groups",
        file_bytes=array.stored_bytes,
    )


def _until_a_frame(video: OpenVideo, first: list[av.VideoFrame]) -> Iterator[Packet]:
    """The packets of ``video``, decoded on the way until ``first`` holds a frame."""
    for packet in video.packets():
        if not first:
            first += decode_tolerantly(video, packet)[:1]
        yield packet
    if not first:
        first += decode_tolerantly(video, None)[:1]


def _facts(path: Path, video: OpenVideo, index: PacketIndex, first: av.VideoFrame) -> VideoFacts:
    colours = colours_of(first)
    counted = int(index.shown.sum())
    seconds = _duration_seconds(video, index)
    return VideoFacts(
        width=first.width,
        height=first.height,
        fps=_frames_per_second(video, counted, seconds),
        frame_count=counted,
        duration_seconds=seconds,
        codec=video.stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        bit_rate=(round(index.total_bytes * 8 / seconds) or None) if seconds else None,
        rotation=orientation_of(first).rotation,
        pixel_aspect=video.pixel_aspect,
        colour_matrix=colours.matrix,
        colour_tagged=colours.tagged,
        hdr=colours.transfer != "sdr",
        strategy=index.strategy,
        file_bytes=path.stat().st_size,
    )


def _frames_per_second(video: OpenVideo, counted: int, seconds: float | None) -> float | None:
    """What the header says, where the times bear it out to 5 % (a gap, rounding); else measured."""
    claimed = float(video.stream.average_rate or 0)
    measured = counted / seconds if seconds else claimed
    return (claimed if abs(claimed - measured) < 0.05 * measured else measured) or None


def _duration_seconds(video: OpenVideo, index: PacketIndex) -> float | None:
    """By the frames' times; what the header says is a claim, taken where they say nothing."""
    seconds = index.duration_seconds()
    if seconds is not None:
        return seconds
    base, claimed = video.stream.time_base, video.stream.duration
    seconds = float(claimed * base) if claimed and base else (video.container.duration or 0) / 1e6
    return seconds if np.isfinite(seconds) and seconds > 0 else None

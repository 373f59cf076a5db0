"""Exactly the frames wanted, as the decoder gives them, at the least decoding.

Two strategies, the same frames: see ``Strategy``.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError

from reelfit.errors import VideoError
from reelfit.video.array_names import is_array
from reelfit.video.arrays import FrameArray, open_array
from reelfit.video.container import OpenVideo, Packet, decode_tolerantly, open_video
from reelfit.video.packets import (
    PacketIndex,
    Strategy,
    index_packets,
    needed_packets,
    runs_of_packets,
)

Take = Callable[[int, av.VideoFrame], None]

# Frames that no other refers to may be left out undecoded. Not so AV1 and VP9: it breaks them.
_SKIPPABLE = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"}

# Packets: to read over fewer is cheaper than to seek.
_WORTH_A_SEEK = 32


class _NotAsIndexed(Exception):  # noqa: N818  # it never leaves this module
    """Decoding a group did not give what the index promised."""


class _SeekMissed(Exception):  # noqa: N818
    """After a seek another packet came than the one looked for."""


class _Dropped(_NotAsIndexed):
    """No error was met, and a frame did not come."""


@dataclass
class IndexedVideo:
    """An open video of which one pass over the packets was made, or an open array of frames."""

    path: Path
    opened: OpenVideo | FrameArray
    index: PacketIndex
    _anew: OpenVideo | None = None

    @property
    def pixel_aspect(self) -> float:
        """Width over height of a pixel as stored: 1 for square ones. Ask once a frame is there."""
        return (self._anew or self.opened).pixel_aspect

    @contextmanager
    def open_anew(self) -> Iterator[OpenVideo]:
        """The same file at its start, with all that FFmpeg can learn of it by decoding."""
        with open_video(self.path) as anew:
            self._anew = anew
            try:
                yield anew
            finally:
                self._anew = None


@contextmanager
def indexed_video(path: Path) -> Iterator[IndexedVideo]:
    """Opens ``path`` and runs over its packets, without decoding one. Memory: 10 bytes a packet.

    Raises:
        VideoError: the file cannot be used.
    """
    if is_array(path):
        with open_array(path) as array:
            yield IndexedVideo(path, array, array.index())
        return
    with open_video(path, lightly=True) as opened:
        yield IndexedVideo(path, opened, index_packets(opened, opened.packets()))


def visit_frames(
    video: IndexedVideo, wanted: Collection[int], take: Take, *, strategy: Strategy | None = None
) -> Strategy:
    """Calls ``take(number, frame)`` for each of ``wanted``, and says which strategy gave them.

    Numbers count the packets' frames from the first keyframe in presentation order, so that one
    that cannot be decoded keeps its number; where times cannot be relied on, they count the
    frames that a full decode gives. Frames come as stored, neither turned nor converted, in no
    promised order. When groups turn out not to be as indexed, all are taken anew: what ``take``
    got last is right. ``strategy`` asks for one of them where both would do.
    Memory: one decoder, its reference frames.

    Raises:
        VideoError: the file cannot be used, or it lacks one of these frames, or one is damaged
            or follows damage in its group, where a decoder would show smeared pictures.
    """
    index = video.index
    if isinstance(video.opened, FrameArray):
        video.opened.visit(wanted, take)
        return "groups"
    if not index.trusted:
        with video.open_anew() as anew:
            _visit_from_start(anew, index, set(wanted), take, None)
        return "sequential"
    presented = index.presented()
    if max(wanted) >= len(presented):
        raise _no_such_frame(max(wanted), len(presented))
    numbers = {int(presented[at]): at for at in wanted}
    for position, at in numbers.items():
        if index.broken.intersection(needed_packets(index, position)):
            raise VideoError("damaged frame", f"frames before frame {at} are lost")
    if strategy != "sequential":
        with suppress(_NotAsIndexed):
            _visit_groups_anywhere(video.opened, video, numbers, take)
            return "groups"
    with video.open_anew() as anew:
        _visit_from_start(anew, index, set(wanted), take, numbers)
    return "sequential"


def whole_frames(video: IndexedVideo) -> list[int]:
    """The numbers of the frames that ``visit_frames`` gives, of a video with damaged ones.

    None of an array, whose frames no other depends on. A video is decoded once. Memory: one
    decoder, 10 bytes a packet.

    Raises:
        VideoError: the file cannot be used.
    """
    if isinstance(video.opened, FrameArray):
        return []
    index, numbers = video.index, None
    if index.trusted:
        numbers = {int(position): number for number, position in enumerate(index.presented())}
    found: list[tuple[int, int]] = []
    damaged: set[int] = set()
    with video.open_anew() as anew:
        for counted, (position, frame) in enumerate(_decode_from_start(anew, damaged)):
            if frame.is_corrupt:
                damaged.add(position)
            number = counted if numbers is None else numbers.get(position)
            if number is not None:
                found.append((number, position))
    return sorted(
        number
        for number, position in found
        if not (damaged | index.broken).intersection(needed_packets(index, position))
    )


def _visit_groups_anywhere(
    opened: OpenVideo, video: IndexedVideo, indices: dict[int, int], take: Take
) -> None:
    """By seeking in the open file, if it can and finds all; else in the file opened anew."""
    with suppress(_SeekMissed, _Dropped):
        _visit_groups(opened, video.index, indices, take, seeks=True)
        return
    with video.open_anew() as anew:
        _visit_groups(anew, video.index, indices, take, seeks=False)


def _visit_groups(
    video: OpenVideo, index: PacketIndex, indices: dict[int, int], take: Take, *, seeks: bool
) -> None:
    """Takes the frames of the packets at the positions that are the keys of ``indices``."""
    context = video.stream.codec_context
    skips = context.codec.canonical_name in _SKIPPABLE
    at_time = {int(index.times[position]): at for position, at in indices.items()}
    in_order = sorted(indices)
    for position, packet, ends_run in _packets_to_feed(video, index, indices, seeks=seeks):
        context.skip_frame = "NONREF" if skips and position not in indices else "DEFAULT"
        for frame in _decode_as_indexed(video, packet, ends_run):
            if frame.is_corrupt:  # wanted or not: the others of its group may refer to it
                raise _NotAsIndexed
            at = at_time.pop(frame.pts, None) if frame.pts is not None else None
            if at is not None:
                take(at, frame)
        if ends_run and len(at_time) > len(indices) - bisect_right(in_order, position):
            raise _Dropped
    if at_time:
        raise _NotAsIndexed


def _packets_to_feed(
    video: OpenVideo, index: PacketIndex, positions: Collection[int], *, seeks: bool
) -> Iterator[tuple[int, Packet, bool]]:
    """Each packet that the decoder needs, its position, and whether a run ends with it.

    With ``seeks`` the packets of ``video`` have all come already, else none of them.
    """
    ahead = len(index.times) if seeks else 0  # the position of the packet that comes next
    packets = video.packets()
    for first, last in runs_of_packets(index, positions):
        sought = seeks and not first - _WORTH_A_SEEK <= ahead <= first
        if sought:
            if not video.seek(int(index.times[first])):
                raise _SeekMissed
            ahead, packets = first, video.packets()
        for position, packet in enumerate(packets, ahead):
            if position >= len(index.times) or packet.pts != index.times[position]:
                raise _SeekMissed if sought and position == first else _NotAsIndexed
            if position >= first:
                yield position, packet, position == last
            if position == last:
                break
        ahead = last + 1


def _decode_as_indexed(video: OpenVideo, packet: Packet, ends_run: bool) -> Iterator[av.VideoFrame]:
    """The frames that ``packet`` completes, at the end of a run all that are left."""
    context = video.stream.codec_context
    try:
        yield from context.decode(packet)
        if ends_run:
            yield from context.decode(None)
            context.flush_buffers()
    except MemoryError:
        raise
    except FFmpegError as error:
        raise _NotAsIndexed from error


def _visit_from_start(
    video: OpenVideo,
    index: PacketIndex,
    wanted: set[int],
    take: Take,
    indices: dict[int, int] | None,
) -> None:
    """Decodes from the start until the last of ``wanted``, and goes on after errors.

    ``indices`` tells the frames' numbers by the positions of their packets; without it they are
    counted as they come.
    """
    taken: dict[int, int] = {}
    damaged: set[int] = set()
    counted = 0
    for position, frame in _decode_from_start(video, damaged):
        if frame.is_corrupt:
            damaged.add(position)
        at = counted if indices is None else indices.get(position)
        counted += 1
        if at in wanted and at not in taken:
            taken[at] = position
            take(at, frame)
            if len(taken) == len(wanted):
                # What is still in the decoder may be damaged, and be what the taken refer to.
                left = decode_tolerantly(video, None)
                damaged |= {_position(late, position) for late in left if late.is_corrupt}
                break
    for at in sorted(wanted):
        if at not in taken and indices is None:
            raise _no_such_frame(at, counted)
        if at not in taken:
            raise VideoError("damaged frame", f"frame {at} cannot be decoded: {video.said()}")
        if (damaged | index.broken).intersection(needed_packets(index, taken[at])):
            raise VideoError("damaged frame", f"frame {at} or one before it: {video.said()}")


def _decode_from_start(video: OpenVideo, damaged: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Each frame and the position of its packet; packets that give an error go to ``damaged``."""
    video.stream.codec_context.copy_opaque = True
    position = -1
    for position, packet in enumerate(video.packets()):
        packet.opaque = position
        try:
            frames = video.stream.codec_context.decode(packet)
        except MemoryError:
            raise
        except FFmpegError:
            damaged.add(position)
            continue
        for frame in frames:
            yield _position(frame, position), frame
    for frame in decode_tolerantly(video, None):
        yield _position(frame, position), frame


def _position(frame: av.VideoFrame, last: int) -> int:
    """Where the packet of ``frame`` stands; ``last``, that of the newest, if it does not say."""
    return frame.opaque if isinstance(frame.opaque, int) else last


def _no_such_frame(asked: int, count: int) -> VideoError:
    return VideoError(
        "no such frame", f"frame {asked} was asked for; {count} can be decoded, counted from 0"
    )

"""A video file opened safely, and the index that one pass over its packets gives.

Nothing here decodes a whole video, and nothing of what FFmpeg logs reaches the terminal.
"""

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Literal

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from reelfit.errors import VideoError

if TYPE_CHECKING:
    Packet = av.Packet[VideoStream]
else:
    Packet = av.Packet  # it takes no parameter at run time

Strategy = Literal["groups", "sequential"]
"""``groups`` decodes only from the keyframe before each wanted frame, ``sequential`` from the start
and tolerates errors; both give the same frames."""

MAX_SIDE = 16384
"""Pixels: a larger picture is refused before anything is decoded."""

REST_LOST = "the rest cannot be read"

_MAX_MESSAGES = 8
_MUCH_MEMORY = 128 * 2**20
# Formats that name other files, or that make a video of a text or of a single picture.
_NO_VIDEO = {"concat", "dash", "hls", "image2", "imf", "tty"}
# Their packets carry no presentation times that one may rely on. Raw streams are named for codecs.
_UNTRUSTED = {"asf", "avi", "mpeg", "rm"}
_UNTRUSTED |= {"av1", "cavsvideo", "dirac", "evc", "h261", "h263", "h264", "hevc", "m4v"}
_UNTRUSTED |= {"mpegvideo", "obu", "vc1", "vvc"}

# Messages go to whoever captures them, here or in the program that uses us, never to stderr.
logging.getLogger("libav").addHandler(logging.NullHandler())
av.logging.set_level(av.logging.WARNING)
av.logging.set_skip_repeated(False)  # a repeated one would come with the next video's


@dataclass(frozen=True)
class OpenVideo:
    """An open container, the stream to decode, and the last messages of FFmpeg about them."""

    container: InputContainer
    stream: VideoStream
    messages: list[tuple[int, str, str]]
    losses: set[int] = field(default_factory=set)
    """Numbers of the packets before which the container could not read a part of the file."""

    def said(self) -> str:
        """What FFmpeg said last, in one line."""
        return _line(self.messages)

    def packets(self) -> Iterator[Packet]:
        """The stream's packets in decode order, up to the end or to what is damaged beyond it.

        Raises:
            VideoError: the disk failed, or the frames are encrypted.
        """
        demuxed, count = self.container.demux(self.stream), 0
        while True:
            heard = len(self.messages)
            try:
                packet = next(demuxed, None)
            except MemoryError:
                raise _shortage_or_claim() from None
            except OSError as error:
                raise VideoError("cannot be read", error.strerror or str(error)) from None
            except FFmpegError as error:
                self.messages.append(
                    (av.logging.ERROR, "demuxer", f"{REST_LOST}: {error.strerror}")
                )
                return
            if packet is None:
                return
            if any(map(self._tells_of_a_loss, self.messages[heard:])):
                self.losses.add(count)
            del self.messages[:-_MAX_MESSAGES]  # a damaged file has millions of them
            # Asked of keyframes alone: it costs 2 us, a fifth of all that is done with a packet.
            if packet.is_keyframe and packet.has_sidedata("encryption_info"):
                raise VideoError("encrypted", "the frames cannot be decoded without their key")
            if packet.size:  # an empty one would tell the decoder that the video ends
                yield packet
                count += 1

    def _tells_of_a_loss(self, message: tuple[int, str, str]) -> bool:
        level, name, _ = message
        return level <= av.logging.ERROR and name == self.container.format.name


@contextmanager
def open_video(path: Path) -> Iterator[OpenVideo]:
    """Opens the first video stream of a local file, with one decoder thread; always closes it.

    A name is only ever a file's: ``http:...`` or ``concat:...`` are looked for on the disk.

    Raises:
        VideoError: there is no file, or no video in it that can be decoded.
    """
    _check_file(path)
    # The capture is of this thread: one decoder thread means that it hears everything.
    with av.logging.Capture(local=True) as messages:
        try:
            container = av.open(
                f"file:{path}",
                options={"protocol_whitelist": "file"},
                metadata_errors="replace",  # a title in another encoding is no damage
            )
        except MemoryError:
            raise _shortage_or_claim() from None
        except FFmpegError as error:
            raise _open_error(error, messages) from None
        with container:
            stream = _video_stream(container)
            stream.codec_context.thread_count = 1
            yield OpenVideo(container, stream, messages)


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of a stream say, in decode order. Memory: 10 bytes a packet."""

    times: np.ndarray
    """Presentation times in the stream's time base; meaningless unless ``trusted``."""
    keyframes: np.ndarray
    shown: np.ndarray
    """Whether a frame is part of the video: no edit list leaves it out, no keyframe is missing."""
    time_base: Fraction
    """Seconds in one unit of ``times``."""
    average_fps: float | None
    """Frames a second by the header; None where it does not say."""
    pixel_aspect: float
    """Width over height of a pixel as stored: 1 for square ones."""
    total_bytes: int
    last_duration: int
    """Of the packet that came last, in the stream's time base; 0 where it is not known."""
    ends_damaged: bool
    broken: frozenset[int]
    """Positions, none of a keyframe, before which the container lost something: what follows in
    their group refers to frames that are not there, and no decoder says so."""
    trusted: bool
    """Whether times, keyframes and count are to be relied on without decoding."""

    def presented(self) -> np.ndarray:
        """Positions (decode order) of the frames shown, in presentation order."""
        positions = np.flatnonzero(self.shown)
        return positions[np.argsort(self.times[positions], kind="stable")]

    @property
    def strategy(self) -> Strategy:
        """How frames are decoded, unless decoding shows that the packets said too much."""
        return "groups" if self.trusted else "sequential"

    def seconds(self) -> np.ndarray | None:
        """When each frame is shown, counted from the first, in order; None unless ``trusted``."""
        if not self.trusted:
            return None
        times = np.sort(self.times[self.shown])
        seconds: np.ndarray = (times - times[0]) * float(self.time_base)
        return seconds

    def duration_seconds(self) -> float | None:
        """From the first frame's time to the end of the last; None where times say nothing."""
        count = int(self.shown.sum())
        if not self.trusted or not self.time_base or count < 2:
            return None
        shown = self.times[self.shown]
        span = int(shown.max() - shown.min())
        return float((span + (self.last_duration or round(span / (count - 1)))) * self.time_base)

    def frames_at(self, seconds: Sequence[float | int]) -> list[int]:
        """The frames that are seen ``seconds`` after the first: the last that is shown by then.

        Files round times to their time base, so half a unit of it is forgiven. Where times cannot
        be relied on, the header's mean rate counts.

        Raises:
            VideoError: the video ends before, or has neither times nor a rate.
        """
        times = self.seconds()
        if times is None and self.average_fps is None:
            raise VideoError("no frame rate", "the file says neither times nor a rate")
        if times is None:
            return [int(at * (self.average_fps or 0) + 1e-6) for at in seconds]
        end = self.duration_seconds() or times[-1]
        if max(seconds) > end:
            raise VideoError("no such frame", f"{max(seconds):g} s were asked for; it has {end:g}")
        reached = np.asarray(seconds) + 0.5 * float(self.time_base)
        return [max(int(at) - 1, 0) for at in np.searchsorted(times, reached, side="right")]


def index_packets(video: OpenVideo, packets: Iterable[Packet]) -> PacketIndex:
    """Runs over ``packets``, those of ``video``, and notes their times and flags."""
    times, keyframes, shown = array("q"), bytearray(), bytearray()
    orderly, total_bytes, last_duration, last_decode, damaged = True, 0, 0, None, False
    broken: set[int] = set()
    for packet in packets:
        if len(times) in video.losses and not packet.is_keyframe:
            broken.add(len(times))
        damaged = packet.is_corrupt
        orderly &= packet.pts is not None and not damaged
        if packet.dts is not None:
            orderly &= last_decode is None or packet.dts >= last_decode
            last_decode = packet.dts
        times.append(0 if packet.pts is None else packet.pts)
        keyframes.append(packet.is_keyframe)
        shown.append(not packet.is_discard)
        total_bytes += packet.size
        last_duration = packet.duration or 0
    as_times = np.frombuffer(times, np.int64) if times else np.zeros(0, np.int64)
    orderly &= len(np.unique(as_times)) == len(times)
    key_positions = np.flatnonzero(np.frombuffer(keyframes, np.bool_))
    as_shown = np.frombuffer(shown, np.bool_)
    if len(key_positions):  # what comes before the first keyframe refers to what was cut off
        first = key_positions[0]
        as_shown &= np.arange(len(times)) >= first
        if orderly:
            as_shown &= as_times >= as_times[first]
    return PacketIndex(
        times=as_times,
        keyframes=np.frombuffer(keyframes, np.bool_),
        shown=as_shown,
        time_base=video.stream.time_base or Fraction(0),
        average_fps=float(video.stream.average_rate or 0) or None,
        pixel_aspect=_pixel_aspect(video.stream.sample_aspect_ratio),
        total_bytes=total_bytes,
        last_duration=last_duration,
        ends_damaged=damaged,
        broken=frozenset(broken),
        trusted=bool(orderly and len(key_positions)) and _container_is_trusted(video),
    )


def _pixel_aspect(stated: Fraction | None) -> float:
    return float(stated) if stated and stated > 0 else 1.0


def _container_is_trusted(video: OpenVideo) -> bool:
    if video.stream.codec_context.codec.canonical_name == "mjpeg":  # each packet is a frame
        return True
    return not _UNTRUSTED & set(video.container.format.name.split(","))


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError("no such file", f"{path}: {error.strerror}") from None
    except ValueError as error:  # a null byte in the name
        raise VideoError("no such file", f"{path!r}: {error}") from None
    if not S_ISREG(status.st_mode):
        raise VideoError("not a file", str(path))
    if status.st_size == 0:
        raise VideoError("empty file", str(path))


def _shortage_or_claim() -> Exception:
    """What FFmpeg's lack of memory means while it reads a container, which needs little.

    Where much more can be had, nothing is short: the file claims tables that nobody could hold.
    """
    try:
        np.empty(_MUCH_MEMORY, np.uint8)  # which touches none of it
    except MemoryError as error:
        return error
    return VideoError("damaged", "its header claims more memory than there is")


def _open_error(error: FFmpegError, messages: list[tuple[int, str, str]]) -> VideoError:
    detail = _line(messages) or error.strerror or str(error)
    if isinstance(error, OSError):
        return VideoError("cannot be read", detail)
    if any("low score" in text for _, _, text in messages):
        return VideoError("not a video", "what stands in the file is like no known video format")
    recognised = any(level <= av.logging.ERROR and name for level, name, _ in messages)
    return VideoError("damaged" if recognised else "not a video", detail)


def _video_stream(container: InputContainer) -> VideoStream:
    names = set(container.format.name.split(","))
    if names & _NO_VIDEO or any(name.endswith("_pipe") for name in names):
        raise VideoError("not a video", f"FFmpeg takes it for {container.format.long_name}")
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            break
    else:
        raise VideoError("no video stream", f"{len(container.streams)} other streams")
    context = stream.codec_context
    if context is None or not context.is_decoder:
        raise VideoError("unknown codec", "this FFmpeg has no decoder for the video stream")
    if not (context.width and context.height):
        raise VideoError("damaged", "the video stream does not say how large its frames are")
    if max(context.width, context.height) > MAX_SIDE:
        raise VideoError(
            "too large",
            f"frames of {context.width} x {context.height}; at most {MAX_SIDE} pixels a side",
        )
    return stream


def _line(messages: list[tuple[int, str, str]]) -> str:
    return "; ".join(dict.fromkeys(f"{name}: {text.strip()}" for _, name, text in messages))

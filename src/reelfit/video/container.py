"""A video file opened safely, and its packets; nothing of what FFmpeg logs reaches the terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from reelfit.errors import VideoError

if TYPE_CHECKING:
    Packet = av.Packet[VideoStream]
else:
    Packet = av.Packet  # it takes no parameter at run time

MAX_SIDE = 16384
"""Pixels: a larger picture is refused before anything is decoded."""

REST_LOST = "the rest cannot be read"

_MAX_MESSAGES = 8
_MUCH_MEMORY = 128 * 2**20
# Formats that name other files, or that make a video of a text or of a single picture.
_NO_VIDEO = {"concat", "dash", "hls", "image2", "imf", "tty"}

# Their demuxers find the packet of a time again. MPEG-TS begins in the middle of one.
_SEEKABLE = {"matroska", "mov"}

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

    @property
    def pixel_aspect(self) -> float:
        """Width over height of a pixel as stored, 1 where nothing says; see ``open_video``."""
        stated = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        return float(stated) if stated and stated > 0 else 1.0

    @property
    def seekable(self) -> bool:
        """Whether the packet of a time can be found again."""
        return bool(_SEEKABLE & set(self.container.format.name.split(",")))

    def said(self) -> str:
        """What FFmpeg said last, in one line."""
        return _line(self.messages)

    def seek(self, time: int) -> bool:
        """Whether packets now come from about the keyframe of ``time`` (stream's time base) on."""
        if not self.seekable:
            return False
        try:
            self.container.seek(time, stream=self.stream)
        except FFmpegError:
            return False
        return True

    def packets(self) -> Iterator[Packet]:
        """The stream's packets in decode order, up to the end or to what is damaged beyond it.

        Raises:
            VideoError: the disk failed, or the frames are encrypted.
        """
        messages, count, heard = self.messages, 0, len(self.messages)
        try:
            for packet in self.container.demux(self.stream):
                if len(messages) > heard:
                    if any(map(self._tells_of_a_loss, messages[heard:])):
                        self.losses.add(count)
                    del messages[:-_MAX_MESSAGES]  # a damaged file has millions of them
                for _beside in packet.iter_sidedata():  # most have none, in a tenth of the time
                    _refuse_encrypted(packet)
                    break
                if packet.size:  # an empty one would tell the decoder that the video ends
                    yield packet
                    count += 1
                heard = len(messages)
        except MemoryError:
            raise _shortage_or_claim() from None
        except OSError as error:
            raise VideoError("cannot be read", error.strerror or str(error)) from None
        except FFmpegError as error:
            messages.append((av.logging.ERROR, "demuxer", f"{REST_LOST}: {error.strerror}"))

    def _tells_of_a_loss(self, message: tuple[int, str, str]) -> bool:
        level, name, _ = message
        return level <= av.logging.ERROR and name == self.container.format.name


@contextmanager
def open_video(path: Path, *, lightly: bool = False) -> Iterator[OpenVideo]:
    """Opens the first video stream of a local file, with one decoder thread; always closes it.

    A name is only ever a file's: ``http:...`` or ``concat:...`` are looked for on the disk.
    FFmpeg decodes frames here to learn of the stream what its header does not say: 35 ms at 1080p
    in H.264. ``lightly`` it does not, where that changes no packet: then ``pixel_aspect`` is
    known once a frame was decoded, a decoder may drop frames that come late (their depth of
    reordering was not tried out), and packets of other streams are not read.

    Raises:
        VideoError: there is no file, or no video in it that can be decoded.
    """
    check_file(path)
    # The capture is of this thread: one decoder thread means that it hears everything.
    with av.logging.Capture(local=True) as messages:
        video = _opened(path, messages, lightly=lightly)
        if lightly and not (video and _suffices(video)):
            if video:
                video.container.close()
            messages.clear()
            video = _opened(path, messages, lightly=False)
        assert video is not None
        with video.container:
            yield video


def _opened(path: Path, messages: list[tuple[int, str, str]], *, lightly: bool) -> OpenVideo | None:
    """None where only decoding could tell what must be known."""
    options = {"protocol_whitelist": "file"} | ({"skip_frame": "all"} if lightly else {})
    try:
        container = av.open(
            f"file:{path}",
            options=options,
            metadata_errors="replace",  # a title in another encoding is no damage
        )
    except MemoryError:
        raise _shortage_or_claim() from None
    except FFmpegError as error:
        raise _open_error(error, messages) from None
    try:
        stream = _video_stream(container)
    except VideoError:
        container.close()
        if lightly:
            return None
        raise
    stream.codec_context.thread_count = 1
    if lightly:
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
    return OpenVideo(container, stream, messages)


def decode_tolerantly(video: OpenVideo, packet: Packet | None) -> list[av.VideoFrame]:
    """The frames that ``packet`` completes, none if it is damaged; without one, those left."""
    try:
        return video.stream.codec_context.decode(packet)
    except MemoryError:  # FFmpeg's, too: it says nothing about the file
        raise
    except FFmpegError:
        return []


def _suffices(video: OpenVideo) -> bool:
    """Whether the packets of ``video``, opened lightly, are the same as else, and may be sought.

    Matroska says no decode times: for H.264 FFmpeg makes them up by what it saw decoded.
    """
    h264 = video.stream.codec_context.codec.canonical_name == "h264"
    return video.seekable and not (h264 and "matroska" in video.container.format.name)


def _refuse_encrypted(packet: Packet) -> None:
    """Each is asked: keyframes alone may be left clear."""
    if packet.has_sidedata("encryption_info"):
        raise VideoError("encrypted", "the frames cannot be decoded without their key")


def check_file(path: Path) -> None:
    """Looks whether there is something to open.

    Raises:
        VideoError: there is no file, or an empty one.
    """
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

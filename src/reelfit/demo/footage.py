"""The user's own clips as sources: a short stretch of each, at a limited size."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import final

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8
from typing_extensions import override

from reelfit.demo.source import Frames, Source
from reelfit.errors import StudyError, VideoError
from reelfit.video.container import OpenVideo, Packet, decode_tolerantly, open_video
from reelfit.video.orientation import orientation_of
from reelfit.video.probe import probe

LONGEST_SIDE = 640
_SHORTEST_SIDE = 16  # one macroblock
_SECONDS = 4
_MOST_FRAMES = 96
_MOST_FPS = 60
_NO_VIDEO = {".csv", ".jpg", ".json", ".md", ".npy", ".npz", ".png", ".tsv", ".txt", ".yaml"}


@final
@dataclass(frozen=True)
class Footage(Source):
    """The first seconds of a file of the user's."""

    path: Path
    source_id: str
    fps: Fraction

    @override
    def film(self) -> Frames:
        """The first seconds at no more than ``LONGEST_SIDE``, decoded anew at every call."""
        return self.lend(longest_side=LONGEST_SIDE)

    @override
    def lend(self, *, longest_side: int) -> Frames:
        """The same seconds, smaller."""
        return read_stretch(self.path, most_frames=_num_frames(self.fps), longest_side=longest_side)


def find_files(folder: Path, *, apart_from: Path) -> list[Path]:
    """All files below ``folder`` that may be videos, sorted; none of the demo's own.

    Hidden files, tables, texts and pictures are left out.

    Raises:
        StudyError: there is no such folder.
    """
    if not folder.is_dir():
        raise StudyError(f"--videos {folder}: there is no such folder")
    own = apart_from.resolve()
    return sorted(
        path.resolve()
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix.lower() not in _NO_VIDEO
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.resolve().is_relative_to(own)
    )


def open_footage(path: Path, *, source_id: str) -> Footage | None:
    """The file as a source; None where it is no video, or its first seconds are damaged."""
    try:
        facts = probe(path)
        shown = min(max(facts.fps or 25.0, 1.0), _MOST_FPS)
        fps = Fraction(shown).limit_denominator(1001)
        read_stretch(
            path, most_frames=_num_frames(fps), longest_side=_SHORTEST_SIDE, even_damaged=False
        )
    except (VideoError, OSError):
        return None
    return Footage(path, source_id, fps)


def _num_frames(fps: Fraction) -> int:
    return min(_MOST_FRAMES, max(2, round(_SECONDS * fps)))


def read_stretch(
    path: Path, *, most_frames: int, longest_side: int, even_damaged: bool = True
) -> Frames:
    """The first frames of ``path``, upright, scaled down to even sides; damaged ones left out.

    Memory: these frames and one decoder, however long the video.

    Raises:
        VideoError: no frame can be decoded, or one is damaged and that is not wanted.
    """
    pictures: list[UInt8[np.ndarray, "height width 3"]] = []
    reformatter = VideoReformatter()

    def keep(packet: Packet | None) -> bool:
        decoded = decode_tolerantly if even_damaged else _decode_strictly
        for frame in decoded(video, packet):
            if not frame.is_corrupt and len(pictures) < most_frames:
                size = pictures[0].shape[:2] if pictures else None
                pictures.append(_picture(frame, reformatter, longest_side, size))
        return len(pictures) < most_frames

    with open_video(path) as video:
        if all(keep(packet) for packet in video.packets()):
            keep(None)
    if not pictures:
        raise VideoError("damaged", f"no frame of {path} can be decoded")
    return np.stack(pictures)


def _decode_strictly(video: OpenVideo, packet: Packet | None) -> list[av.VideoFrame]:
    try:
        frames = video.stream.codec_context.decode(packet)
    except MemoryError:  # FFmpeg's, too: it says nothing about the file
        raise
    except FFmpegError:
        raise VideoError("damaged frame", video.said()) from None
    if any(frame.is_corrupt for frame in frames):
        raise VideoError("damaged frame", video.said())
    return frames


def _picture(
    frame: av.VideoFrame,
    reformatter: VideoReformatter,
    longest_side: int,
    size: tuple[int, ...] | None,
) -> UInt8[np.ndarray, "height width 3"]:
    """One frame in RGB, upright; of ``size`` (height, width) where the first one has set it."""
    orientation = orientation_of(frame)
    turned = orientation.rotation % 180 != 0
    if size is None:
        scale = min(1.0, longest_side / max(frame.width, frame.height))
        width, height = (
            max(_SHORTEST_SIDE, 2 * round(side * scale / 2)) for side in (frame.width, frame.height)
        )
    else:
        width, height = size if turned else size[::-1]
    try:
        scaled = reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA,
            threads=1,
        )
    except FFmpegError as error:
        detail = f"{frame.format.name}: {error.strerror}"
        raise VideoError("colours that cannot be converted", detail) from None
    picture = np.rot90(scaled.to_ndarray(), -orientation.rotation // 90)
    return np.ascontiguousarray(picture[:, ::-1] if orientation.mirrored else picture)

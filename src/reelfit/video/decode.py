"""The frames wanted of a video as one tensor: exact, upright, at the size wanted."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from reelfit.errors import VideoError
from reelfit.video.container import MAX_SIDE
from reelfit.video.frames import IndexedVideo, indexed_video, visit_frames
from reelfit.video.orientation import orientation_of
from reelfit.video.packets import Strategy
from reelfit.video.picture import Fit, Hdr, resize, square_size, to_rgb, upright


def decode(
    path: Path | str,
    *,
    at: Sequence[int] | None = None,
    at_seconds: Sequence[float | int] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "letterbox",
    hdr: Hdr = "tone_map",
    generator: np.random.Generator | None = None,
) -> UInt8[Tensor, "time 3 height width"]:
    """The frames ``at`` of a video or an array, in RGB and upright, in the order asked for.

    ``at`` counts in presentation order from 0; repeats are allowed. ``at_seconds`` asks instead for
    the frames that are seen at these times, counted from the first frame; where a file's times
    cannot be relied on (AVI, raw streams), by its mean rate. ``size`` is height and width, one
    number for a square, None for the frames' own with square pixels. ``letterbox`` keeps the whole
    picture over black, ``centre_crop`` fills the size with its middle, ``random_crop`` with a part
    that ``generator`` draws, the same of each frame, ``stretch`` ignores the aspect ratio.
    Memory: the frames asked for, one full-size frame and one decoder, however long the video.

    Raises:
        VideoError: the file cannot be used, or it lacks or has damaged one of these frames.
        ValueError: ``at`` is empty or negative, ``size`` is no size, or a crop lacks a generator.
    """
    look = Look(_checked(size), fit, hdr, _place(fit, generator))
    if (at is None) == (at_seconds is None):
        raise ValueError("give either at or at_seconds")
    if at_seconds is not None and (not len(at_seconds) or not min(at_seconds) >= 0):
        raise ValueError(f"at_seconds={list(at_seconds)}: one time at least, none before the first")
    if at is not None and (not len(at) or min(at) < 0):
        raise ValueError(f"at={list(at)}: at least one index is needed, counted from 0")
    with indexed_video(Path(path)) as video:
        if at_seconds is not None:
            at = video.index.frames_at(at_seconds)
        assert at is not None
        return take_frames(video, at, look)[0]


@dataclass(frozen=True)
class Look:
    """How a frame is to be seen; ``place`` is where a crop lies, as shares of the room there is."""

    size: tuple[int, int] | None = None
    fit: Fit = "letterbox"
    hdr: Hdr = "tone_map"
    place: tuple[float, float] = (0.5, 0.5)


def take_frames(
    video: IndexedVideo,
    at: Sequence[int],
    look: Look,
    *,
    see: Callable[[int, UInt8[Tensor, "3 height width"]], None] | None = None,
) -> tuple[UInt8[Tensor, "time 3 height width"], Strategy]:
    """The frames ``at`` as ``look`` has them, and how they were decoded; see ``decode``.

    ``see`` is given each of them, too: upright and whole, before it is made to fit.
    """
    slots: dict[int, list[int]] = {}
    for slot, number in enumerate(at):
        slots.setdefault(int(number), []).append(slot)
    collected: list[Tensor] = []  # at most one: its size is known once a frame is there
    reformatter = VideoReformatter()

    def take(number: int, frame: av.VideoFrame) -> None:
        orientation = orientation_of(frame)
        picture = upright(to_rgb(frame, reformatter, look.hdr), orientation)
        aspect = video.pixel_aspect
        turned = 1 / aspect if orientation.rotation % 180 else aspect
        height, width = picture.shape[1:]
        if see is not None:
            see(number, picture)
        if look.size:
            picture = resize(picture, look.size, look.fit, pixel_aspect=turned, place=look.place)
        elif turned != 1:
            picture = resize(picture, square_size(height, width, pixel_aspect=turned), "stretch")
        if not collected:
            collected.append(torch.empty((len(at), *picture.shape), dtype=torch.uint8))
        if picture.shape != collected[0].shape[1:]:
            raise VideoError("frames of several sizes", "ask for one size to decode them together")
        for slot in slots[number]:
            collected[0][slot] = picture

    strategy = visit_frames(video, slots.keys(), take)
    return collected[0], strategy


def _checked(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    wanted = (size, size) if isinstance(size, int) else (size[0], size[1])
    if min(wanted) < 1 or max(wanted) > MAX_SIDE:
        raise ValueError(f"size={size}: height and width are from 1 to {MAX_SIDE} pixels")
    return wanted


def _place(fit: Fit, generator: np.random.Generator | None) -> tuple[float, float]:
    if fit != "random_crop":
        return (0.5, 0.5)
    if generator is None:
        raise ValueError("fit='random_crop' needs a generator")
    down, across = generator.random(2).tolist()
    return (down, across)


def visit_pictures(
    video: IndexedVideo,
    wanted: Collection[int],
    take: Callable[[int, UInt8[Tensor, "3 height width"]], None],
) -> None:
    """Calls ``take(index, picture)`` for each frame of ``wanted``, upright and at its own size.

    In no promised order, and all anew where decoding had to begin again: see ``visit_frames``.
    Memory: one full-size frame and one decoder.

    Raises:
        VideoError: the file cannot be used, or it lacks or has damaged one of these frames.
    """
    reformatter = VideoReformatter()

    def take_frame(index: int, frame: av.VideoFrame) -> None:
        take(index, upright(to_rgb(frame, reformatter), orientation_of(frame)))

    visit_frames(video, wanted, take_frame)

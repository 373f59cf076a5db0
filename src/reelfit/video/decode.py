"""The frames wanted of a video as one tensor: exact, upright, at the size wanted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import av
import torch
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from reelfit.errors import VideoError
from reelfit.video.frames import visit_frames
from reelfit.video.orientation import Orientation, orientation_of
from reelfit.video.packets import MAX_SIDE

Fit = Literal["letterbox", "stretch", "centre_crop"]


def decode(
    path: Path,
    *,
    at: Sequence[int],
    size: int | tuple[int, int] | None = None,
    fit: Fit = "letterbox",
) -> UInt8[Tensor, "time 3 height width"]:
    """The frames ``at`` of a video, in RGB and upright, in the order asked for.

    ``at`` counts in presentation order from 0; repeats are allowed. ``size`` is height and width,
    one number for a square, None for the frames' own. ``letterbox`` keeps the whole picture over
    black, ``centre_crop`` fills the size with its middle, ``stretch`` ignores the aspect ratio.
    Memory: the frames asked for, one full-size frame and one decoder, however long the video.

    Raises:
        VideoError: the file cannot be used, or it lacks or has damaged one of these frames.
        ValueError: ``at`` is empty or negative, or ``size`` is no size.
    """
    if not at or min(at) < 0:
        raise ValueError(f"at={list(at)}: at least one index is needed, counted from 0")
    wanted_size = (size, size) if isinstance(size, int) else size
    if wanted_size and (min(wanted_size) < 1 or max(wanted_size) > MAX_SIDE):
        raise ValueError(f"size={size}: height and width are from 1 to {MAX_SIDE} pixels")
    slots: dict[int, list[int]] = {}
    for slot, index in enumerate(at):
        slots.setdefault(index, []).append(slot)
    collected: list[Tensor] = []  # at most one: its size is known once a frame is there
    reformatter = VideoReformatter()

    def take(index: int, frame: av.VideoFrame) -> None:
        picture = upright(to_rgb(frame, reformatter), orientation_of(frame))
        if wanted_size:
            picture = resize(picture, wanted_size, fit)
        if not collected:
            collected.append(torch.empty((len(at), *picture.shape), dtype=torch.uint8))
        if picture.shape != collected[0].shape[1:]:
            raise VideoError("frames of several sizes", "ask for one size to decode them together")
        collected[0][slots[index]] = picture

    visit_frames(path, slots.keys(), take)
    return collected[0]


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> UInt8[Tensor, "3 height width"]:
    """One frame as stored, in RGB; ``reformatter`` keeps its tables from frame to frame."""
    if max(frame.width, frame.height) > MAX_SIDE:  # it may change in mid-stream
        raise VideoError("too large", f"a frame of {frame.width} x {frame.height}")
    try:
        converted = reformatter.reformat(frame, format="rgb24", threads=1)
    except MemoryError:
        raise
    except FFmpegError as error:
        detail = f"{frame.format.name}: {error.strerror}"
        raise VideoError("colours that cannot be converted", detail) from None
    return torch.from_numpy(converted.to_ndarray()).permute(2, 0, 1)


def upright(
    picture: UInt8[Tensor, "3 height width"], orientation: Orientation
) -> UInt8[Tensor, "3 upright_height upright_width"]:
    """``picture`` turned and mirrored as it is to be seen."""
    turned = torch.rot90(picture, -orientation.rotation // 90, dims=(1, 2))
    return turned.flip(2) if orientation.mirrored else turned


def resize(
    picture: UInt8[Tensor, "3 height width"], size: tuple[int, int], fit: Fit
) -> UInt8[Tensor, "3 new_height new_width"]:
    """``picture`` at ``size`` (height, width), bilinear with antialiasing, in uint8 throughout."""
    stored = (picture.shape[1], picture.shape[2])
    if fit == "centre_crop":
        scale = max(new / old for new, old in zip(size, stored, strict=True))
        kept = [min(old, max(1, round(new / scale))) for new, old in zip(size, stored, strict=True)]
        top, left = (stored[0] - kept[0]) // 2, (stored[1] - kept[1]) // 2
        return _scale(picture[:, top : top + kept[0], left : left + kept[1]], size)
    if fit == "stretch":
        return _scale(picture, size)
    scale = min(new / old for new, old in zip(size, stored, strict=True))
    height, width = (max(1, round(old * scale)) for old in stored)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    framed = picture.new_zeros((3, *size))
    framed[:, top : top + height, left : left + width] = _scale(picture, (height, width))
    return framed


def _scale(
    picture: UInt8[Tensor, "3 height width"], size: tuple[int, int]
) -> UInt8[Tensor, "3 new_height new_width"]:
    if tuple(picture.shape[1:]) == size:
        return picture
    # Within 1 of the float way, in a fifth of its time (EVIDENCE: 1.0 against 5.8 ms at 1080p).
    return functional.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]

"""One frame as it is to be seen: in RGB, upright, its pixels square, at the size wanted."""

from typing import Literal

import av
import numpy as np
import torch
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from reelfit.errors import VideoError
from reelfit.video.colour import Colours, colours_of
from reelfit.video.container import MAX_SIDE
from reelfit.video.orientation import Orientation
from reelfit.video.tone import tone_mapped

Fit = Literal["letterbox", "stretch", "centre_crop", "random_crop"]
"""How a picture of another shape is made to fill a size."""
Hdr = Literal["tone_map", "reject"]
"""What is done with frames of a high dynamic range."""

_EXACTLY = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def to_rgb(
    frame: av.VideoFrame, reformatter: VideoReformatter, hdr: Hdr = "tone_map"
) -> UInt8[Tensor, "3 height width"]:
    """One frame as stored, in RGB; ``reformatter`` keeps its tables from frame to frame.

    Within 4 levels of the exact conversion (3.4 measured), for 1 of its 14 ms at 1080p. What
    is transparent lies over black; a high dynamic range is mapped to a low one. Memory: a frame.

    Raises:
        VideoError: the colours cannot be converted, or the range is high and ``hdr`` is reject.
    """
    if max(frame.width, frame.height) > MAX_SIDE:  # it may change in mid-stream
        raise VideoError("too large", f"a frame of {frame.width} x {frame.height}")
    colours = colours_of(frame)
    if colours.transfer != "sdr":
        if hdr == "reject":
            detail = f"{colours.transfer.upper()}; clips.hdr: tone_map takes such videos"
            raise VideoError("high dynamic range", detail)
        wide = _converted(frame, reformatter, colours, "rgb48le", _EXACTLY)
        return torch.from_numpy(tone_mapped(wide, colours.transfer)).permute(2, 0, 1)
    if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
        picture = torch.from_numpy(_converted(frame, reformatter, colours, "rgba"))
        return _over_black(picture).permute(2, 0, 1)
    return torch.from_numpy(_converted(frame, reformatter, colours, "rgb24")).permute(2, 0, 1)


def _converted(
    frame: av.VideoFrame,
    reformatter: VideoReformatter,
    colours: Colours,
    layout: str,
    interpolation: Interpolation | None = None,
) -> np.ndarray:
    """``height width channel``."""
    try:
        converted = reformatter.reformat(
            frame,
            format=layout,
            src_colorspace=colours.code(),
            interpolation=interpolation,
            threads=1,
        )
    except MemoryError:
        raise
    except FFmpegError as error:
        detail = f"{frame.format.name}: {error.strerror}"
        raise VideoError("colours that cannot be converted", detail) from None
    return converted.to_ndarray()


def _over_black(picture: UInt8[Tensor, "height width 4"]) -> UInt8[Tensor, "height width 3"]:
    alpha = picture[..., 3:].short()
    # The quotient by 255, rounded, in whole numbers: (x + 128) * 257 / 65536.
    product = picture[..., :3].int() * alpha + 128
    return ((product + (product >> 8)) >> 8).to(torch.uint8)


def upright(
    picture: UInt8[Tensor, "3 height width"], orientation: Orientation
) -> UInt8[Tensor, "3 upright_height upright_width"]:
    """``picture`` turned and mirrored as it is to be seen."""
    if orientation == Orientation():  # no turn would be a copy, too: 5 ms and 12 MiB at 1080p
        return picture
    turned = torch.rot90(picture, -orientation.rotation // 90, dims=(1, 2))
    return turned.flip(2) if orientation.mirrored else turned


def square_size(height: int, width: int, *, pixel_aspect: float) -> tuple[int, int]:
    """Height and width with square pixels, which are no fewer; ``pixel_aspect`` is width/height.

    Raises:
        VideoError: a side would be longer than any picture's.
    """
    wide = pixel_aspect >= 1
    size = (height, round(width * pixel_aspect)) if wide else (round(height / pixel_aspect), width)
    if max(size) > MAX_SIDE:
        raise VideoError("too large", f"{size[1]} x {size[0]} with pixels of {pixel_aspect:g} : 1")
    return size


def resize(
    picture: UInt8[Tensor, "3 height width"],
    size: tuple[int, int],
    fit: Fit,
    *,
    pixel_aspect: float = 1.0,
    place: tuple[float, float] = (0.5, 0.5),
) -> UInt8[Tensor, "3 new_height new_width"]:
    """``picture`` at ``size`` (height, width), bilinear with antialiasing, in uint8 throughout.

    ``place`` says where a crop lies: shares of 0 (top, left) to 1 of the room that there is.
    """
    stored = (picture.shape[1], picture.shape[2])
    shown = (stored[0] / min(pixel_aspect, 1), stored[1] * max(pixel_aspect, 1))
    if fit == "stretch":
        return _scale(picture, size)
    if fit == "letterbox":
        scale = min(new / old for new, old in zip(size, shown, strict=True))
        height, width = (max(1, round(old * scale)) for old in shown)
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        framed = picture.new_zeros((3, *size))
        framed[:, top : top + height, left : left + width] = _scale(picture, (height, width))
        return framed
    scale = max(new / old for new, old in zip(size, shown, strict=True))
    shares = [new / scale / old for new, old in zip(size, shown, strict=True)]
    kept = [max(1, round(old * min(share, 1))) for old, share in zip(stored, shares, strict=True)]
    top, left = (
        int((old - part) * where) for old, part, where in zip(stored, kept, place, strict=True)
    )
    return _scale(picture[:, top : top + kept[0], left : left + kept[1]], size)


def _scale(
    picture: UInt8[Tensor, "3 height width"], size: tuple[int, int]
) -> UInt8[Tensor, "3 new_height new_width"]:
    if tuple(picture.shape[1:]) == size:
        return picture
    # Within 1 of the float way, in a fifth of its time (EVIDENCE: 1.0 against 5.8 ms at 1080p).
    return functional.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]

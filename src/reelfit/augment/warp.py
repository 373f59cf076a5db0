"""One warp for all that moves pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from reelfit.augment.augmentation import PLACE_BITS, Frames, GeometricAugmentation, Places

_PIXEL_BITS = 7  # of each axis, and 8 of a level: a weighted level has 22 bits of float32's 24


def warp(
    frames: Frames, steps: Sequence[tuple[GeometricAugmentation, Mapping[str, Any]]]
) -> Frames:
    """The clip after all ``steps``, bilinear, to 1/128 of a pixel.

    The border is mirrored: a black wedge would tell a model which clips are augmented.
    """
    places = _centred(frames)
    for augmentation, drawn in reversed(steps):
        places = augmentation.sources(places, drawn)
    height, width = frames.shape[-2:]
    x, y = _inside(places.x, length=width), _inside(places.y, length=height)
    return _bilinear(frames, x, y)


def affine(
    places: Places,
    rows: tuple[tuple[float, float], tuple[float, float]],
    *,
    moved: tuple[float, float] = (0.0, 0.0),
) -> Places:
    """Each place times a matrix about the centre, after it was ``moved`` back, in pixels."""
    one = 1 << PLACE_BITS
    x, y = (place - round(by * one) for place, by in zip(places, moved, strict=True))
    found = []
    for by_x, by_y in rows:
        total = (x * round(by_x * one)).add_(y, alpha=round(by_y * one))
        found.append(total.add_(one // 2).bitwise_right_shift_(PLACE_BITS))
    return Places(*found)


def _centred(frames: Frames) -> Places:
    """The places of the pixels themselves; the centre of an even number lies between two."""
    height, width = frames.shape[-2:]
    half = 1 << (PLACE_BITS - 1)
    x, y = (
        (2 * torch.arange(side, device=frames.device) - (side - 1)) * half
        for side in (width, height)
    )
    return Places(x.expand(height, width), y[:, None].expand(height, width))


def _inside(
    places: Int64[Tensor, "height width"], *, length: int
) -> Float32[Tensor, "height width"]:
    """Along one axis, in 1/128 of a pixel from the first one, mirrored into the picture."""
    spare_bits, pixel = PLACE_BITS - _PIXEL_BITS, 1 << _PIXEL_BITS
    to_border = (length << (PLACE_BITS - 1)) + (1 << (spare_bits - 1))
    from_border = (places + to_border).bitwise_right_shift_(spare_bits)
    once = from_border.remainder_(2 * length * pixel)
    mirrored = torch.minimum(once, 2 * length * pixel - once)
    return mirrored.sub_(pixel // 2).clamp_(0, (length - 1) * pixel).float()


def _bilinear(
    frames: Frames, x: Float32[Tensor, "height width"], y: Float32[Tensor, "height width"]
) -> Frames:
    """The clip at these places, exact: sizes a power of two apart let torch scale without error.

    One frame at a time, which stays in the processor's cache.
    """
    height, width = frames.shape[-2:]
    bits = [max(side - 1, 1).bit_length() for side in (width, height)]
    # torch asks for places from -1 to 1 over the whole canvas.
    grid = torch.stack(
        [place * 2.0 ** (1 - _PIXEL_BITS - b) - 1 for place, b in zip((x, y), bits, strict=True)],
        -1,
    )[None]
    canvas = torch.zeros(
        (1, 3, (1 << bits[1]) + 1, (1 << bits[0]) + 1), dtype=torch.float32, device=frames.device
    )
    warped = torch.empty_like(frames, memory_format=torch.contiguous_format)
    for frame, out in zip(frames, warped, strict=True):
        canvas[0, :, :height, :width] = frame
        levels = torch.nn.functional.grid_sample(
            canvas,
            grid,
            mode="bilinear",
            padding_mode="border",  # with zeros cuDNN would take over
            align_corners=True,
        )
        out.copy_(levels[0].add_(0.5).to(torch.int16))
    return warped

"""The kinds of tampering: each takes a pristine clip and gives one of the same shape."""

from collections.abc import Callable
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8, UInt16

from reelfit.demo.camera import scale_picture
from reelfit.demo.source import Frames
from reelfit.demo.writing import recompress

Kind = Literal["splice", "freeze", "low_quality"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ALPHA_BITS = 7  # with 8 of a level they fit 16 bits
_FEWEST_TO_FREEZE = 8
_WORST_QUALITY = 51.0


def tamper(
    frames: Frames,
    *,
    kind: Kind,
    fps: Fraction,
    borrow: Callable[[], Frames],
    generator: np.random.Generator,
) -> Frames:
    """``frames`` tampered with; ``borrow`` is called for a patch, if one is needed.

    A clip too short to be frozen gets a patch instead.
    """
    if kind == "low_quality":
        return spoil_region(frames, fps=fps, generator=generator)
    if kind == "freeze" and len(frames) >= _FEWEST_TO_FREEZE:
        return freeze(frames, generator=generator)
    return splice(frames, borrow(), generator=generator)


def splice(
    frames: Frames,
    donor: UInt8[np.ndarray, "frames rows columns 3"],
    *,
    generator: np.random.Generator,
) -> Frames:
    """A patch of ``donor`` that wanders over the clip, its border blended.

    It is softer and flatter than its surroundings, and is shown from the start again where it ends.
    """
    share = generator.uniform(0.55, 0.65)
    sides = [round(whole * share) for whole in frames.shape[1:3]]
    alpha = _blend_mask(sides[0], sides[1])
    contrast, level = generator.uniform(0.5, 0.7), generator.uniform(-20, 20)
    table = np.clip((np.arange(256) - 128) * contrast + 128 + level, 0, 255).astype(np.uint8)
    tops, lefts = (
        _wander(whole - side, len(frames), generator)
        for whole, side in zip(frames.shape[1:3], sides, strict=True)
    )
    spliced = frames.copy()
    for time in range(len(frames)):
        lent = scale_picture(donor[time % len(donor)], width=sides[1], height=sides[0])
        top, left = tops[time], lefts[time]
        part = spliced[time, top : top + sides[0], left : left + sides[1]]
        part[:] = _blend(part, table[lent], alpha)
    return spliced


def freeze(frames: Frames, *, generator: np.random.Generator) -> Frames:
    """One frame held for most of the clip, or every few frames replaced by copies of the first."""
    count = len(frames)
    shown = np.arange(count)
    if generator.random() < 0.5:
        held = round(count * generator.uniform(0.6, 0.75))
        start = int(generator.integers(count // 8, count - held + 1))
        shown[start : start + held] = start
    else:
        shown -= shown % (count // 4)
    return frames[shown]


def spoil_region(frames: Frames, *, fps: Fraction, generator: np.random.Generator) -> Frames:
    """A large region as the worst quality of H.264 leaves it, its border blended."""
    share = generator.uniform(0.85, 0.95)
    height, width = (2 * round(side * share / 2) for side in frames.shape[1:3])
    top = int(generator.integers(0, frames.shape[1] - height + 1))
    left = int(generator.integers(0, frames.shape[2] - width + 1))
    spoiled = frames.copy()
    region = spoiled[:, top : top + height, left : left + width]
    worse = recompress(np.ascontiguousarray(region), fps=fps, quality=_WORST_QUALITY)
    alpha = _blend_mask(height, width)
    for part, bad in zip(region, worse, strict=True):
        part[:] = _blend(part, bad, alpha)
    return spoiled


def _wander(room: int, count: int, generator: np.random.Generator) -> list[int]:
    """``count`` places on the way through a part of ``room``."""
    way = room * generator.uniform(0.2, 0.4)
    start = generator.uniform(0, room - way)
    places = start + way * np.linspace(0, 1, count)[:: generator.choice([-1, 1])]
    return [int(place) for place in np.round(places)]


def _blend_mask(height: int, width: int) -> UInt16[np.ndarray, "height width 1"]:
    """128 inside, falling to 0 at the border over an eighth of the side."""
    rows, columns = (
        np.clip(np.minimum(np.arange(side), np.arange(side)[::-1]) * 8 / side, 0, 1)
        for side in (height, width)
    )
    mask = np.round(rows[:, None] * columns[None, :] * (1 << _ALPHA_BITS))
    return mask.astype(np.uint16)[:, :, None]


def _blend(
    under: UInt8[np.ndarray, "height width 3"],
    over: UInt8[np.ndarray, "height width 3"],
    alpha: UInt16[np.ndarray, "height width 1"],
) -> UInt8[np.ndarray, "height width 3"]:
    one = np.uint16(1 << _ALPHA_BITS)
    mixed = over * alpha + under * (one - alpha) + (one >> np.uint16(1))
    return np.asarray((mixed >> np.uint16(_ALPHA_BITS)).astype(np.uint8))

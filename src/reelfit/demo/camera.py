"""A virtual hand-held camera: it pans, zooms and shakes over a photograph under changing light.

Pixels are computed in whole numbers, so that they do not depend on a vector unit's rounding.
"""

from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import Float64, Int16, Int32, UInt8

from reelfit.demo.source import Frames, Picture

_PIXEL_BITS = 7  # with 8 of a level they fit 16 bits
_MATRIX_BITS = 16
_NUM_QUANTILES = 1 << 12
_QUANTILES = np.array(
    [NormalDist().inv_cdf((rank + 0.5) / _NUM_QUANTILES) for rank in range(_NUM_QUANTILES)]
)
_SHAKE_HERTZ = (0.4, 1.1, 2.3, 4.7)
_SHAKE_SHARES = (0.006, 0.003, 0.0015, 0.0007)
"""Of the view's width: a hand sways slowly and trembles a little."""
_MARGIN = 1.06
"""Of the view: as much of the picture must be there for the shake and the roll."""


@dataclass(frozen=True)
class _Path:
    """Where the camera looks at each frame: the view's centre and width in pixels, its roll."""

    x: Float64[np.ndarray, " time"]
    y: Float64[np.ndarray, " time"]
    width: Float64[np.ndarray, " time"]
    roll: Float64[np.ndarray, " time"]
    """Radians."""


def film(
    picture: Picture,
    *,
    width: int,
    height: int,
    num_frames: int,
    fps: Fraction,
    generator: np.random.Generator,
) -> Frames:
    """A hand-held shot of a part of ``picture``, at the size wanted.

    Memory: the frames, and the picture scaled so that the view is about ``width`` wide.
    """
    view_share = generator.uniform(0.6, 0.7)
    whole_view = min(picture.shape[1], picture.shape[0] * width / height)
    scale = width / (view_share * whole_view)
    shown = scale_picture(
        picture, width=round(picture.shape[1] * scale), height=round(picture.shape[0] * scale)
    )
    seconds = np.arange(num_frames) / float(fps)
    path = _draw_path(shown, width, height, seconds, generator)
    light = _draw_light(seconds, generator)
    noise = np.round(_QUANTILES * generator.uniform(2.0, 4.0)).astype(np.int16)
    texels = _as_texels(shown)
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    for time in range(num_frames):
        seen = _warp(texels, path, time, width=width, height=height)
        frames[time] = _expose(seen, light[time], noise, generator)
    return frames


def scale_picture(
    picture: Picture, *, width: int, height: int
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """``picture`` at another size, without aliasing."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    scaled = VideoReformatter().reformat(
        frame, width=width, height=height, interpolation=Interpolation.BICUBIC, threads=1
    )
    return np.asarray(scaled.to_ndarray())


def _draw_path(
    shown: Picture,
    width: int,
    height: int,
    seconds: Float64[np.ndarray, " time"],
    generator: np.random.Generator,
) -> _Path:
    """Pans from one place to another while zooming, and shakes on the way."""
    progress = np.linspace(0, 1, len(seconds))
    eased = progress + generator.uniform(-0.12, 0.12) * np.sin(2 * np.pi * progress)
    zoom = generator.uniform(1.05, 1.3) ** generator.choice([-1, 1])
    view = width * zoom ** (eased - (zoom > 1))  # at most the width, so that it stays sharp
    room = np.array([shown.shape[1] - width * _MARGIN, shown.shape[0] - height * _MARGIN])
    wanted = np.array([width, height]) * generator.uniform([0.3, 0.1], [0.45, 0.25])
    travel = np.minimum(wanted, room) * generator.choice([-1, 1], 2)
    middle = generator.uniform(-0.3, 0.3, 2) * (room - np.abs(travel))
    centre = np.array([shown.shape[1], shown.shape[0]]) / 2 + middle
    x, y = (centre[axis] + travel[axis] * (eased - 0.5) for axis in (0, 1))
    return _Path(
        x=x + width * _shake(seconds, generator),
        y=y + width * _shake(seconds, generator),
        width=view,
        roll=_shake(seconds, generator) * 1.5 + generator.uniform(-0.01, 0.01),
    )


def _shake(
    seconds: Float64[np.ndarray, " time"], generator: np.random.Generator
) -> Float64[np.ndarray, " time"]:
    moved = np.zeros(len(seconds))
    for hertz, share in zip(_SHAKE_HERTZ, _SHAKE_SHARES, strict=True):
        phase, faster = generator.uniform(0, 2 * np.pi), generator.uniform(0.8, 1.25)
        moved += share * np.sin(2 * np.pi * hertz * faster * seconds + phase)
    return moved


def _draw_light(
    seconds: Float64[np.ndarray, " time"], generator: np.random.Generator
) -> Float64[np.ndarray, "time 3"]:
    """The exposure of each frame and channel: clouds pass, the white balance drifts."""
    hertz, phase = generator.uniform(0.1, 0.4), generator.uniform(0, 2 * np.pi)
    passing = generator.uniform(0.03, 0.1) * np.sin(2 * np.pi * hertz * seconds + phase)
    drift = generator.uniform(-0.03, 0.03, 3) * np.linspace(0, 1, len(seconds))[:, None]
    flicker = generator.normal(0, 0.004, len(seconds))
    return np.asarray(1 + (passing + flicker)[:, None] + drift)


def _as_texels(picture: Picture) -> UInt8[np.ndarray, "rows columns 4"]:
    """Four bytes a pixel, so that picking one is picking one whole number."""
    texels = np.zeros((*picture.shape[:2], 4), np.uint8)
    texels[:, :, :3] = picture
    return texels


def _warp(
    texels: UInt8[np.ndarray, "rows columns 4"], path: _Path, time: int, *, width: int, height: int
) -> Int16[np.ndarray, "height width 3"]:
    """What the camera sees at ``time``: bilinear, to 1/128 of a pixel."""
    zoom = path.width[time] / width
    cosine, sine = zoom * np.cos(path.roll[time]), zoom * np.sin(path.roll[time])
    from_x = _along(cosine, -sine, path.x[time], width=width, height=height)
    from_y = _along(sine, cosine, path.y[time], width=width, height=height)
    one = 1 << _PIXEL_BITS
    rows, columns = texels.shape[:2]
    left = np.clip(from_x >> _PIXEL_BITS, 0, columns - 2)
    top = np.clip(from_y >> _PIXEL_BITS, 0, rows - 2)
    share_x = (from_x & (one - 1)).astype(np.int16)[:, :, None]
    share_y = (from_y & (one - 1)).astype(np.int16)[:, :, None]
    pixels = texels.reshape(-1).view(np.uint32)
    corner = top * columns + left

    def pick(step: int) -> Int16[np.ndarray, "height width 4"]:
        picked = pixels.take(corner + step).view(np.uint8)
        return np.asarray(picked.reshape(height, width, 4).astype(np.int16))

    upper = _between(pick(0), pick(1), share_x)
    lower = _between(pick(columns), pick(columns + 1), share_x)
    return np.asarray(_between(upper, lower, share_y)[:, :, :3])


def _along(
    by_x: float, by_y: float, centre: float, *, width: int, height: int
) -> Int32[np.ndarray, "height width"]:
    """Where each pixel comes from along one axis, in 1/128 of a pixel."""
    one = 1 << _MATRIX_BITS
    spare_bits = _MATRIX_BITS - _PIXEL_BITS
    start = round((centre - by_x * (width - 1) / 2 - by_y * (height - 1) / 2) * one)
    x = np.arange(width, dtype=np.int64) * round(by_x * one)
    y = np.arange(height, dtype=np.int64) * round(by_y * one) + start
    return ((x[None, :] + y[:, None]) >> spare_bits).astype(np.int32)


def _between(
    near: Int16[np.ndarray, "height width 4"],
    far: Int16[np.ndarray, "height width 4"],
    share: Int16[np.ndarray, "height width 1"],
) -> Int16[np.ndarray, "height width 4"]:
    """``near`` and ``far`` mixed: no value on the way leaves 16 bits."""
    far -= near
    far *= share
    far += 1 << (_PIXEL_BITS - 1)
    far >>= _PIXEL_BITS
    far += near
    return far


def _expose(
    seen: Int16[np.ndarray, "height width 3"],
    light: Float64[np.ndarray, "3"],
    noise: Int16[np.ndarray, " quantiles"],
    generator: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture that the sensor gives: brighter or darker, with noise that is new each time."""
    levels = np.arange(256)[:, None]
    exposed = np.round(levels * light).astype(np.int16)
    lit = np.stack([exposed[:, channel][seen[:, :, channel]] for channel in range(3)], axis=2)
    ranks = generator.integers(0, _NUM_QUANTILES, seen.shape[:2], dtype=np.uint16)
    lit += noise[ranks][:, :, None]
    return np.asarray(np.clip(lit, 0, 255).astype(np.uint8))

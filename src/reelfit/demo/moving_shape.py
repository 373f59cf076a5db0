"""A clip of one coloured shape that moves over a textured ground, drawn here pixel by pixel."""

import colorsys
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64
from PIL import Image, ImageDraw

from reelfit.demo.source import Frames

HUES: Final = {
    "red": 0.0,
    "orange": 30.0,
    "yellow": 60.0,
    "green": 120.0,
    "cyan": 180.0,
    "blue": 230.0,
    "purple": 280.0,
    "pink": 328.0,
}
"""In degrees: no two are nearer than 30, and each clip is off by ``HUE_SPREAD`` at the most."""
HUE_SPREAD: Final = 6.0
DIRECTIONS: Final = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Columns and rows by which a shape moves: a picture's first row is its uppermost."""
TRAVELS: Final = {"slowly": (0.10, 0.14), "quickly": (0.32, 0.36)}
"""Of the picture's side, from the first frame to the last."""
_RADII = (0.17, 0.21)  # of the circle of a shape's area, by the side: the fastest and largest fit
_FINENESS = 4  # parts of a pixel's side that a shape's edge is drawn in
_MOST_TURN = math.radians(12)  # a square turned by more is a diamond
_MARGIN = 0.02
_GROUND_COSINES = 24


@dataclass(frozen=True)
class MovingShape:
    """What a clip shows: a word for each of its four qualities."""

    colour: str
    shape: str
    direction: str
    speed: str


def film_shape(
    shown: MovingShape, *, side: int, num_frames: int, generator: np.random.Generator
) -> Frames:
    """A clip of ``shown``, whole in every frame, with place, size and light of its own.

    Memory: the frames, and some pictures of ``side`` by ``side``.
    """
    outline = _outline(shown.shape, generator) * generator.uniform(*_RADII)
    centres = _centres(shown, outline, num_frames, generator)
    paint = _paint(HUES[shown.colour], generator)
    ground = _ground(side, generator)
    noise = generator.uniform(2.0, 5.0)
    light = 1 + generator.uniform(-0.06, 0.06) * np.linspace(-1, 1, num_frames)
    frames = np.empty((num_frames, side, side, 3), np.uint8)
    for time in range(num_frames):
        share = _coverage((outline + centres[time]) * side, side)
        seen = ground * (1 - share) + paint * share
        seen = seen * light[time] + generator.normal(0, noise, (side, side, 1))
        frames[time] = np.clip(np.round(seen), 0, 255).astype(np.uint8)
    return frames


def _star(points: int, inner: float) -> Float64[np.ndarray, "corner 2"]:
    angles = np.arange(2 * points) * np.pi / points - np.pi / 2
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _cross() -> Float64[np.ndarray, "corner 2"]:
    quarter = np.array([[0.33, -1.0], [0.33, -0.33], [1.0, -0.33]])
    turns = [np.array([[0, -1], [1, 0]]), np.array([[-1, 0], [0, -1]]), np.array([[0, 1], [-1, 0]])]
    return np.concatenate([quarter, *(quarter @ turn.T for turn in turns)])


_SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
OUTLINES: Final = {
    "circle": _star(24, math.cos(math.pi / 48)),
    "square": _SQUARE,
    "triangle": _star(3, 0.5),
    "star": _star(5, 0.5),
    "cross": _cross(),
}
"""Corners of each shape around its middle, in columns and rows."""


def _outline(shape: str, generator: np.random.Generator) -> Float64[np.ndarray, "corner 2"]:
    """The corners, a little turned, of the area of a circle of radius 1: no size tells a shape."""
    corners = OUTLINES[shape]
    x, y = corners.T
    area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    angle = generator.uniform(-_MOST_TURN, _MOST_TURN)
    cosine, sine = math.cos(angle), math.sin(angle)
    turned = corners @ np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(turned * math.sqrt(math.pi / area))


def _centres(
    shown: MovingShape,
    outline: Float64[np.ndarray, "corner 2"],
    num_frames: int,
    generator: np.random.Generator,
) -> Float64[np.ndarray, "time 2"]:
    """Where the middle stands in each frame, as shares of the side: evenly along a line."""
    way = np.array(DIRECTIONS[shown.direction]) * generator.uniform(*TRAVELS[shown.speed])
    low = _MARGIN - outline.min(axis=0) - np.minimum(way, 0)
    high = 1 - _MARGIN - outline.max(axis=0) - np.maximum(way, 0)
    start = generator.uniform(low, high)
    return np.asarray(start + way * np.linspace(0, 1, num_frames)[:, None])


def _paint(hue: float, generator: np.random.Generator) -> Float64[np.ndarray, "3"]:
    exact = (hue + generator.uniform(-HUE_SPREAD, HUE_SPREAD)) % 360 / 360
    saturation, value = generator.uniform(0.75, 1.0), generator.uniform(0.75, 1.0)
    return 255 * np.array(colorsys.hsv_to_rgb(exact, saturation, value))


def _ground(side: int, generator: np.random.Generator) -> Float32[np.ndarray, "side side 3"]:
    """A greyish texture: waves of many lengths and directions, the long ones the strongest."""
    angles = generator.uniform(0, 2 * np.pi, _GROUND_COSINES)
    periods = np.exp(generator.uniform(np.log(0.08), np.log(1.2), _GROUND_COSINES))
    phases = generator.uniform(0, 2 * np.pi, _GROUND_COSINES)
    at = (np.arange(side) + 0.5) / side
    waves = np.zeros((side, side))
    for angle, period, phase in zip(angles, periods, phases, strict=True):
        along = at[None, :] * math.cos(angle) + at[:, None] * math.sin(angle)
        waves += period**0.7 * np.cos(2 * np.pi * along / period + phase)
    waves *= generator.uniform(10, 20) / waves.std()
    tint = generator.uniform(-9, 9, 3)
    ground = generator.uniform(45, 100) + waves[:, :, None] + tint
    return np.clip(ground, 8, 247).astype(np.float32)


def _coverage(
    corners: Float64[np.ndarray, "corner 2"], side: int
) -> Float32[np.ndarray, "side side 1"]:
    """The share of each pixel that lies inside the outline, to 1/16."""
    mask = Image.new("L", (side * _FINENESS, side * _FINENESS))
    # PIL counts from the middle of the first pixel.
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners * _FINENESS - 0.5], fill=255)
    return np.asarray(mask.reduce(_FINENESS), np.float32)[:, :, None] / np.float32(255)

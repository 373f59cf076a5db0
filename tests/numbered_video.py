"""Videos made here whose frames carry their number in their pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from torch import Tensor

NUM_BITS = 8
BLOCK = 32


@dataclass(frozen=True)
class Recipe:
    """How a numbered video is encoded."""

    codec: str = "libx264"
    fps: int = 25
    num_frames: int = 60
    size: tuple[int, int] = (128, 64)
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    times_ms: Sequence[int] | None = None
    shape: Callable[[np.ndarray], np.ndarray] = lambda picture: picture


def numbered_picture(number: int) -> np.ndarray:
    """64 x 128 pixels: eight squares, white for 1 and black for 0, the first bit on the left."""
    bits = np.array([number >> place & 1 for place in range(NUM_BITS)]).reshape(2, 4)
    squares = np.kron(bits, np.ones((BLOCK, BLOCK))) * 200 + 25
    grain = np.random.default_rng(number).integers(-20, 21, squares.shape)
    return np.repeat((squares + grain).astype(np.uint8)[..., None], 3, axis=2)


def number_of(picture: np.ndarray) -> int:
    """The number in a picture ``3 height width`` of any size with the same aspect ratio."""
    grey = picture.mean(axis=0)
    height, width = grey.shape
    rows, columns = (np.array([1, 3]) * height // 4, np.array([1, 3, 5, 7]) * width // 8)
    bits = (grey[np.ix_(rows, columns)] > 125).flatten()
    return int(sum(1 << place for place, bit in enumerate(bits) if bit))


def numbers_of(frames: Tensor) -> list[int]:
    """The numbers in a clip ``time 3 height width``."""
    return [number_of(picture) for picture in frames.numpy()]


def write_video(path: Path, recipe: Recipe) -> Path:
    """Encodes the frames 0, 1, 2... as ``recipe`` says."""
    with av.open(str(path), "w", options=recipe.container_options) as container:
        stream = container.add_stream(recipe.codec, rate=recipe.fps, options=recipe.options)
        first = recipe.shape(numbered_picture(0))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if recipe.codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        if recipe.times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(recipe.num_frames):
            picture = recipe.shape(numbered_picture(number))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if recipe.times_ms:
                frame.pts, frame.time_base = recipe.times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

"""The videos that ``decoding.py`` decodes, encoded here once from textures that move.

They lie in a folder of the system's temporary one, named for this recipe's number: an encoder is
slow, and the same seed, encoder and settings give the same pictures.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import torch
from av.codec.codec import UnknownCodecError
from torch.nn import functional

RECIPE = 1
FPS = 30
FOLDER = Path(tempfile.gettempdir()) / f"reelfit_made_videos_{RECIPE}"


@dataclass(frozen=True)
class Made:
    """How one of them is encoded; what is not named is the encoder's own default."""

    codec: str = "libx264"
    keyframe_every: int = 250
    num_frames: int = 300
    size: tuple[int, int] = (1080, 1920)
    options: dict[str, str] = field(default_factory=lambda: {"preset": "veryfast"})


X265 = {"preset": "veryfast", "x265-params": "pools=1:frame-threads=1:log-level=none"}
VP9 = {"deadline": "realtime", "cpu-used": "7", "b": "6M"}
AV1 = {"preset": "9", "crf": "40", "svtav1-params": "lp=1"}
SMALL = (360, 640)

MAIN = "1080p_h264_250.mp4"
LONG = "1080p_h264_two_minutes.mp4"
VIDEOS = {
    MAIN: Made(),
    "1080p_h264_30.mp4": Made(keyframe_every=30),
    "1080p_hevc_250.mp4": Made("libx265", options=X265),
    "1080p_vp9_250.webm": Made("libvpx-vp9", options=VP9),
    "1080p_av1_250.mkv": Made("libsvtav1", options=AV1),
    "360p_h264_250.mp4": Made(num_frames=900, size=SMALL),
    "360p_h264_30.mp4": Made(num_frames=900, size=SMALL, keyframe_every=30),
    LONG: Made(num_frames=3600),
}
TINY = Made(num_frames=12, size=(48, 64))


def made_video(name: str, made: Made) -> Path | None:
    """The file, made now if it is not there; None if this wheel lacks the encoder."""
    path = FOLDER / name
    if path.exists():
        return path
    try:
        av.Codec(made.codec, "w")
    except UnknownCodecError:
        return None
    FOLDER.mkdir(exist_ok=True)
    partial = path.with_name(f"{os.getpid()}.{name}")
    print(f"encoding {path}", flush=True)
    encode(partial, made)
    partial.replace(path)
    return path


def encode(path: Path, made: Made) -> None:
    """One thread throughout: more would make other bytes of the same frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(made.codec, rate=FPS, options=dict(made.options))
        stream.height, stream.width = made.size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = made.keyframe_every
        stream.codec_context.thread_count = 1
        for picture in pictures(made.num_frames, made.size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode(None))


def pictures(num_frames: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Planes of 4:2:0: a slow pan over a texture, six textured squares that cross it, grain.

    No two pictures are alike. Each part moves in its own way and between the pixels, so that a
    decoder has to interpolate, as it has in what a camera took.
    """
    drawn = np.random.default_rng(RECIPE)
    height, width = size
    margin = height // 4
    ground = texture(drawn, (height + margin, width + margin))
    side = height // 5
    squares = [texture(drawn, (side + 1, side + 1)) for _ in range(6)]
    starts, speeds = drawn.uniform(0, 2, (6, 2)), drawn.uniform(-0.02, 0.02, (6, 2))
    grain = drawn.integers(-3, 4, (height + 64, width + 64)).astype(np.float32)
    chroma_size = (2, height // 2, width // 2)
    slopes = np.linspace(-3, 3, height // 2)[:, None] + np.linspace(0, 2, width // 2)
    for number in range(num_frames):
        pan = (0.5 + 0.5 * np.sin(number / np.array([61.0, 83.0]))) * (margin - 2)
        luma = window(ground, pan, size)
        for square, start, speed in zip(squares, starts, speeds, strict=True):
            place = np.abs((start + number * speed) % 2 - 1) * (height - side, width - side)
            down, across = place.astype(int)
            moved = window(square, place % 1, (side, side))
            luma[down : down + side, across : across + side] = moved
        down, across = drawn.integers(0, 64, 2)
        luma += grain[down : down + height, across : across + width]
        hue = 30 * np.sin(number / 40 + slopes)
        chroma = 128 + np.broadcast_to(hue, chroma_size) + (luma[::2, ::2] - 126) * 0.3
        planes = [np.clip(plane, 16, 235).astype(np.uint8).ravel() for plane in (luma, chroma)]
        yield np.concatenate(planes).reshape(height * 3 // 2, width)


def window(picture: np.ndarray, place: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """So much of ``picture`` from ``place`` (down, across) on, bilinear between its pixels."""
    (top, left), (down, across) = place.astype(int), (place % 1).astype(np.float32)
    height, width = size
    rows = picture[top : top + height + 1, left : left + width + 1]
    between = rows[:-1] * (1 - down) + rows[1:] * down
    return between[:, :-1] * (1 - across) + between[:, 1:] * across


def texture(drawn: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise at six scales, each larger one stronger, as natural pictures have it; float32."""
    total = torch.zeros(size)
    for scale in (1, 2, 4, 8, 16, 32):
        coarse = drawn.normal(size=[-(-side // scale) + 1 for side in size])
        smooth = functional.interpolate(
            torch.from_numpy(coarse)[None, None].float(), scale_factor=scale, mode="bicubic"
        )
        total += scale**0.7 * smooth[0, 0, : size[0], : size[1]]
    return (126 + 45 * total / total.std()).clamp(16, 235).numpy()

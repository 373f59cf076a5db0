"""Which frames a decoder gave, told by their pixels beside those of a full decode.

Decoders convert colours a little differently, so the bits say nothing: a frame is exact where no
other frame of the video is nearer to it than the one that was asked for. What matrix an untagged
video was read by is told and does not count, nor does how the pictures are turned: none is wrong
for all readers. (That Reelfit's frames have the reference's bits is a test of ours.)
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from decoders import signatures

SHARED = Path(__file__).parents[2] / "shared" / "videos"
NEARER = 0.98


def luma_and_chroma(red: float, blue: float) -> np.ndarray:
    """From RGB, by the weights of red and blue: ITU-R BT.601 has 0.299, 0.114, BT.709 others."""
    luma = np.array([red, 1 - red - blue, blue])
    blue_less, red_less = np.array([0, 0, 1]) - luma, np.array([1, 0, 0]) - luma
    return np.stack([luma, blue_less / (2 - 2 * blue), red_less / (2 - 2 * red)])


BT601, BT709 = luma_and_chroma(0.299, 0.114), luma_and_chroma(0.2126, 0.0722)
LUMA = BT601[0].astype(np.float32)
PLAIN = "as PyAV"
MATRICES = {
    PLAIN: np.eye(3),
    "BT.709 where PyAV takes BT.601": np.linalg.inv(BT601) @ BT709,
    "BT.601 where PyAV takes BT.709": np.linalg.inv(BT709) @ BT601,
}
"""What makes of one decoder's RGB what the reference's matrix would have made of the same frame."""


@dataclass
class Reference:
    """What a full decode by PyAV gives, in decode order after reordering, errors passed over."""

    luma: np.ndarray
    """The signatures of all frames, grey: ``time height width``."""
    colours: dict[int, np.ndarray]
    md5s: dict[int, str]
    """Of the luma planes of the frames asked for."""


def full_decode(path: Path, asked: list[int]) -> Reference:
    """One frame at a time; of the frames ``asked`` the colours are kept as well."""
    luma, colours, md5s = [], {}, {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = stream.codec_context.decode(packet if packet.size else None)
            except FFmpegError:
                continue
            for frame in frames:
                (small,) = signatures([frame.to_ndarray(format="rgb24")])
                if len(luma) in asked:
                    colours[len(luma)], md5s[len(luma)] = small, luma_md5(frame)
                luma.append(small @ LUMA)
    return Reference(np.stack(luma), colours, md5s)


def luma_md5(frame: av.VideoFrame) -> str:
    """As frames.csv has it."""
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return hashlib.md5(lines[:, : plane.width].tobytes(), usedforsecurity=False).hexdigest()


def judge(found: np.ndarray, reference: Reference, at: list[int]) -> dict[str, Any]:
    """How many of the frames ``at`` are exact, which came instead, how far the colours are off."""
    turns = [turn for turn in range(8) if turned(found[0], turn).shape[:2] == stored(reference)]
    if len(found) != len(at) or not turns:
        return {"exact": 0, "asked": len(at), "other_size": found.shape[:-1]}
    # All frames of a video are read and turned alike; the plainest way that fits best is taken.
    ways = [(turn, matrix) for turn in turns for matrix in MATRICES]
    fits = [distances(read(found[0], *way), reference).min() for way in ways]
    turn, matrix = ways[int(np.argmin(fits))]
    exact, instead, off = 0, {}, []
    for picture, index in zip(found, at, strict=True):
        shown = read(picture, turn, matrix)
        apart = distances(shown, reference)
        if apart[index] * NEARER <= apart.min() + 1e-4:
            exact += 1
            off.append(float(np.abs(shown - reference.colours[index]).mean()))
        else:
            instead[index] = int(apart.argmin())
    told: dict[str, Any] = {"exact": exact, "asked": len(at), "turn": turn, "matrix": matrix}
    if off:
        told["colours_off"] = round(max(off), 2)
    return told | ({"instead": instead} if instead else {})


def read(picture: np.ndarray, turn: int, matrix: str) -> np.ndarray:
    """As the reference would have it."""
    return turned(picture, turn) @ MATRICES[matrix].T.astype(np.float32)


def stored(reference: Reference) -> tuple[int, ...]:
    return reference.luma.shape[1:]


def turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight ways to lay a picture on another: four turns, each mirrored or not."""
    flat = np.rot90(picture, turn % 4)
    return flat[:, ::-1] if turn >= 4 else flat


def distances(picture: np.ndarray, reference: Reference) -> np.ndarray:
    """The mean squared difference in grey to every frame."""
    return np.square(reference.luma - picture @ LUMA).mean((1, 2))


def shared_frames() -> dict[str, dict[int, str]]:
    """The frames of ``frames.csv`` by file, with the MD5 of their luma planes."""
    asked: dict[str, dict[int, str]] = {}
    if not (SHARED / "frames.csv").exists():
        return asked
    with (SHARED / "frames.csv").open() as table:
        for row in csv.DictReader(table):
            asked.setdefault(row["file"], {})[int(row["index"])] = row["md5_luma_plane"]
    return asked

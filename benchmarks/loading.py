"""Clips per second from shards at random, beside the bare ``pread`` of the same bytes and others.

One thread, everything in the page cache, processor time, in turn within one process: our reader,
bare ``pread``, webdataset (which reads in order alone), one float32 ``.pt`` a clip as the original
systems had, one ``.npy`` a clip, and our reader on JPEGs. Goal: at least 0.8 of the bare ``pread``.
"""

import itertools
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import webdataset
from measured import write_result

from reelfit.data.shards import Clip, ShardReader, write_shard

CLIPS, ROUNDS, PER_SHARD = 192, 9, 64
SHAPES = {"8 x 3 x 112 x 112": (8, 112), "16 x 3 x 224 x 224": (16, 224)}
GOAL = 0.8


def clips_of(frames: int, size: int) -> list[Clip]:
    """Moving pictures with some grain: not noise, which no JPEG could keep."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (3, size // 8 + 2, size // 4), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((1, 8, 8), np.uint8))
    made = []
    for number in range(CLIPS):
        pixels = np.stack(
            [texture[:, number % 8 :, 2 * k + number % 5 :][:, :size, :size] for k in range(frames)]
        )
        grain = generator.integers(0, 12, pixels.shape, dtype=np.uint8)
        made.append(Clip(f"{number:032x}", 0, pixels // 2 + 50 + grain, list(range(frames)), {}))
    return made


def store(folder: Path, clips: list[Clip]) -> dict[str, list[dict[str, Any]]]:
    """The same clips in every way."""
    rows: dict[str, list[dict[str, Any]]] = {"uint8": [], "jpeg": []}
    for begin in range(0, len(clips), PER_SHARD):
        part = clips[begin : begin + PER_SHARD]
        for kind in rows:
            rows[kind] += write_shard(folder / f"{kind}_{begin}.tar", part, store=kind)  # type: ignore[arg-type]
    for number, clip in enumerate(clips):
        np.save(folder / f"{number}.npy", clip.pixels)
        torch.save(torch.from_numpy(clip.pixels).float() / 255, folder / f"{number}.pt")
    return rows


def ways(
    folder: Path, rows: dict[str, list[dict[str, Any]]], order: np.ndarray
) -> dict[str, Callable[[], int]]:
    """Each reads all clips and gives back how many values it has seen."""
    readers = {kind: ShardReader(folder) for kind in rows}
    files = {
        name: os.open(folder / name, os.O_RDONLY) for name in {r["shard"] for r in rows["uint8"]}
    }

    def ours(kind: str) -> int:
        seen = 0
        for place in order:
            row = rows[kind][place]
            seen += (
                readers[kind]
                .read(
                    row["shard"], offset=row["offset"], num_bytes=row["bytes"], crc32=row["crc32"]
                )
                .size
            )
        return seen

    def bare() -> int:
        seen = 0
        for place in order:
            row = rows["uint8"][place]
            seen += len(os.pread(files[row["shard"]], row["bytes"], row["offset"]))
        return seen

    def in_order() -> int:
        shards = sorted(str(path) for path in folder.glob("uint8_*.tar"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = webdataset.WebDataset(shards, shardshuffle=False).decode()
            return sum(sample["0.npy"].size for sample in found)

    return {
        "reelfit": lambda: ours("uint8"),
        "pread": bare,
        "reelfit, jpeg": lambda: ours("jpeg"),
        "webdataset, in order": in_order,
        "npy files": lambda: sum(np.load(folder / f"{k}.npy").size for k in order),
        "float32 pt files": lambda: sum(
            torch.load(folder / f"{k}.pt", weights_only=True).numel() for k in order
        ),
    }


def measure(frames: int, size: int) -> dict[str, Any]:
    """The table of one shape."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = clips_of(frames, size)
        rows = store(folder, clips)
        order = np.random.default_rng(1).permutation(len(clips))
        asked = ways(folder, rows, order)
        for way in asked.values():
            way()
        seconds: dict[str, list[float]] = {way: [] for way in asked}
        for _, (way, read) in itertools.product(range(ROUNDS), asked.items()):
            began = time.process_time()
            read()
            seconds[way].append(time.process_time() - began)
        shares = [
            bare / ours for bare, ours in zip(seconds["pread"], seconds["reelfit"], strict=True)
        ]
        sizes = {kind: sum(row["bytes"] for row in found) / CLIPS for kind, found in rows.items()}
        return {
            "ms_per_clip": {k: round(1000 * median(v) / CLIPS, 4) for k, v in seconds.items()},
            "clips_per_processor_second": {k: round(CLIPS / median(v)) for k, v in seconds.items()},
            "share_of_pread": round(median(shares), 3),
            "bytes_per_clip": {kind: round(each) for kind, each in sizes.items()},
        }


def main() -> None:
    """Both shapes."""
    torch.set_num_threads(1)
    tables = {name: measure(*shape) for name, shape in SHAPES.items()}
    held = all(table["share_of_pread"] >= GOAL for table in tables.values())
    figures = {"clips": CLIPS, "rounds": ROUNDS, "goal": GOAL, "held": held, "shapes": tables}
    write_result("loading", figures)


if __name__ == "__main__":
    main()

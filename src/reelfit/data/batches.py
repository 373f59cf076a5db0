"""The order of an epoch, and its clips batch by batch from any position."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from reelfit.data.seeds import generator_for
from reelfit.data.shards import ShardReader

READERS = 2
"""Threads that read ahead; they wait for the disk, or decode and augment."""

Change = Callable[[int, UInt8[np.ndarray, "time 3 height width"]], np.ndarray]
"""From the row of the manifest and the pixels to the pixels that are seen."""


@dataclass(frozen=True)
class Batch:
    """Clips of one optimizer step, with their rows of the manifest."""

    clips: UInt8[Tensor, "batch time 3 height width"]
    rows: Int64[np.ndarray, " batch"]


def epoch_order(num_clips: int, *, seed: int, epoch: int) -> Int[np.ndarray, " clip"]:
    """Every clip once, in an order that is a function of seed and epoch alone."""
    return generator_for(seed, "order", epoch).permutation(num_clips)


def balanced_order(
    targets: Int[np.ndarray, " clip"],
    *,
    seed: int,
    epoch: int,
    groups: Int[np.ndarray, " clip"] | None = None,
) -> Int[np.ndarray, " clip"]:
    """As many clips as there are, each class equally often, drawn with as few repeats as can be.

    With ``groups``, within a class each group equally often too: one source with many videos
    weighs no more than another.
    """
    generator = generator_for(seed, "balanced order", epoch)
    drawn = []
    for members, share in _evenly(targets, np.arange(len(targets)), len(targets), generator):
        parts = [(members, share)]
        if groups is not None:
            parts = _evenly(groups[members], members, share, generator)
        drawn += [_drawn(part, count, generator) for part, count in parts]
    return generator.permutation(np.concatenate(drawn))


def _evenly(
    labels: Int[np.ndarray, " clip"],
    rows: Int[np.ndarray, " clip"],
    total: int,
    generator: np.random.Generator,
) -> list[tuple[np.ndarray, int]]:
    """The rows of each label, and its share of ``total``; chance says which get one more."""
    present = np.unique(labels)
    shares = np.diff(np.linspace(0, total, len(present) + 1).round().astype(int))
    if total % len(present) and len(present) > 2:
        shares = generator.permutation(shares)
    return [
        (rows[labels == label], int(share)) for label, share in zip(present, shares, strict=True)
    ]


def _drawn(members: np.ndarray, share: int, generator: np.random.Generator) -> np.ndarray:
    rounds = -(-share // len(members))
    if not rounds:
        return members[:0]
    return np.concatenate([generator.permutation(members) for _ in range(rounds)])[:share]


@dataclass(frozen=True)
class ClipSource:
    """Clips by their rows of the manifest, which has shard, offset and bytes of each.

    ``frames`` keeps so many of each clip, evenly spread; None keeps all. ``change`` is what is done
    to the pixels before. Memory: 28 bytes a clip.
    """

    reader: ShardReader
    manifest: pl.DataFrame
    frames: int | None = None
    change: Change | None = None

    def clip(self, row: int) -> UInt8[np.ndarray, "time 3 height width"]:
        """One clip as it is seen. Several threads may ask at once."""
        shards, columns = self._places
        shard, offset, num_bytes, checksum = (int(column[row]) for column in columns)
        pixels = self.reader.read(
            shards[shard],
            offset=offset,
            num_bytes=num_bytes,
            crc32=None if checksum < 0 else checksum,
        )
        if self.change is not None:
            pixels = self.change(row, pixels)
        return pixels if self.frames is None else pixels[spread_frames(len(pixels), self.frames)]

    def read(self, rows: Int64[np.ndarray, " batch"], *, pinned: bool = False) -> Batch:
        """The clips of ``rows`` in one piece; ``pinned`` where a GPU is to fetch it by itself."""
        clips = None
        for place, row in enumerate(rows):
            pixels = self.clip(int(row))
            if clips is None:
                shape = (len(rows), *pixels.shape)
                clips = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
            clips[place] = torch.from_numpy(np.ascontiguousarray(pixels))
        assert clips is not None
        return Batch(clips, rows)

    @cached_property
    def _places(self) -> tuple[list[str], list[np.ndarray]]:
        names = self.manifest["shard"].unique().sort().to_list()
        codes = (self.manifest["shard"].rank("dense") - 1).cast(pl.Int32).to_numpy()
        checksums = np.full(len(codes), -1)
        if "crc32" in self.manifest.columns:
            checksums = self.manifest["crc32"].to_numpy()
        return names, [
            codes,
            *(self.manifest[c].to_numpy() for c in ("offset", "bytes")),
            checksums,
        ]


def batches(
    source: ClipSource,
    order: Int[np.ndarray, " clip"],
    *,
    size: int,
    start: int = 0,
    ahead_bytes: int = 0,
    pinned: bool = False,
) -> Iterator[tuple[Batch, int]]:
    """Batches of ``size`` clips in ``order`` (the last may be smaller), each with its end position.

    Going on from any position that was given gives the same remaining batches. As many batches as
    ``ahead_bytes`` hold are read in advance, by threads of this process; where memory is too short
    for that, none. Memory: one batch, and ``ahead_bytes``.
    """
    parts = [
        np.asarray(order[begin : begin + size], dtype=np.int64)
        for begin in range(start, len(order), size)
    ]
    position, ahead = start, 0
    waiting: deque[Future[Batch]] = deque()
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="clips")
    try:
        for number, rows in enumerate(parts):
            batch = _awaited(waiting)
            if batch is None:
                if waiting:
                    _cancel(waiting)
                    ahead_bytes = 0
                batch = source.read(rows, pinned=pinned)
            ahead = ahead_bytes // batch.clips.nbytes
            for later in parts[number + 1 + len(waiting) : number + 1 + ahead]:
                waiting.append(readers.submit(source.read, later, pinned=pinned))
            position += len(rows)
            yield batch, position
            del batch  # or two would be alive while the next one is read
    finally:
        _cancel(waiting)
        readers.shutdown()


def _awaited(waiting: deque["Future[Batch]"]) -> Batch | None:
    """The next batch; None where it was not read, or memory was too short to read it ahead."""
    if not waiting:
        return None
    try:
        batch = waiting[0].result()
    except (MemoryError, RuntimeError):
        return None
    waiting.popleft()
    return batch


def _cancel(waiting: deque["Future[Batch]"]) -> None:
    while waiting:
        waiting.popleft().cancel()


def spread_frames(present: int, kept: int) -> Int64[np.ndarray, " kept"]:
    """The middle frame of each of ``kept`` even parts of a clip."""
    return (2 * np.arange(kept, dtype=np.int64) + 1) * present // (2 * kept)

"""The order of an epoch, and its clips batch by batch from any position."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from reelfit.data.seeds import generator_for
from reelfit.data.shards import ShardReader


@dataclass(frozen=True)
class Batch:
    """Clips of one optimizer step, with their rows of the manifest."""

    clips: UInt8[Tensor, "batch time 3 height width"]
    rows: Int64[np.ndarray, " batch"]


def epoch_order(num_clips: int, *, seed: int, epoch: int) -> Int[np.ndarray, " clip"]:
    """Every clip once, in an order that is a function of seed and epoch alone."""
    return generator_for(seed, "order", epoch).permutation(num_clips)


def balanced_order(
    targets: Int[np.ndarray, " clip"], *, seed: int, epoch: int
) -> Int[np.ndarray, " clip"]:
    """As many clips as there are, each class equally often, drawn with as few repeats as can be."""
    generator = generator_for(seed, "balanced order", epoch)
    present = np.unique(targets)
    shares = np.diff(np.linspace(0, len(targets), len(present) + 1).round().astype(int))
    drawn = []
    for label, share in zip(present, shares, strict=True):
        members = np.flatnonzero(targets == label)
        rounds = -(-share // len(members))
        drawn.append(
            np.concatenate([generator.permutation(members) for _ in range(rounds)])[:share]
        )
    return generator.permutation(np.concatenate(drawn))


def batches(
    reader: ShardReader,
    manifest: pl.DataFrame,
    order: Int[np.ndarray, " clip"],
    *,
    size: int,
    start: int = 0,
    frames: int | None = None,
) -> Iterator[tuple[Batch, int]]:
    """Batches of ``size`` clips in ``order`` (the last may be smaller), each with its end position.

    ``manifest`` holds shard, offset and bytes of each clip. Going on from any position that was
    given gives the same remaining batches. ``frames`` keeps so many of each clip, evenly spread;
    None keeps all. Memory: one batch.
    """
    places = list(manifest.select("shard", "offset", "bytes").iter_rows())
    for begin in range(start, len(order), size):
        rows = np.asarray(order[begin : begin + size], dtype=np.int64)
        clips = None
        for place, row in enumerate(rows):
            shard, offset, num_bytes = places[row]
            pixels = reader.read(shard, offset=offset, num_bytes=num_bytes)
            if frames is not None:
                pixels = pixels[spread_frames(len(pixels), frames)]
            if clips is None:
                clips = torch.empty((len(rows), *pixels.shape), dtype=torch.uint8)
            clips[place] = torch.from_numpy(pixels)
        assert clips is not None
        yield Batch(clips, rows), begin + len(rows)


def spread_frames(present: int, kept: int) -> Int64[np.ndarray, " kept"]:
    """The middle frame of each of ``kept`` even parts of a clip."""
    return (2 * np.arange(kept, dtype=np.int64) + 1) * present // (2 * kept)

"""Which videos look like which others, found by the fingerprints of their frames."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from reelfit.errors import StudyError

MOST_PAIRS = 1_000_000
"""More than 1,400 videos that all look alike; their table would take 200 MB."""
_ROWS, _COLUMNS = 256, 4096
"""Videos compared at once: 8 MiB of differences."""
_UNKNOWN = 64
"""Bits by which a frame that is too flat to tell differs from any other."""


class Pair(NamedTuple):
    """Two videos by their places in what was compared, and how far they are apart in bits."""

    first: int
    second: int
    distance: int


class Fingerprints(NamedTuple):
    """Those of some videos; ``known`` is false of a frame that is too flat to tell from others."""

    bits: UInt64[np.ndarray, "videos frames"]
    known: Bool[np.ndarray, "videos frames"]


def as_fingerprints(rows: Sequence[Sequence[int | None]]) -> Fingerprints:
    """One row per video; all have the same number of frames, None for one too flat to tell."""
    width = max(map(len, rows), default=0)
    bits, known = np.zeros((len(rows), width), np.uint64), np.zeros((len(rows), width), np.bool_)
    for place, row in enumerate(rows):
        for frame, value in enumerate(row):
            if value is not None:
                bits[place, frame], known[place, frame] = value, True
    return Fingerprints(bits, known)


def near_pairs(
    videos: Fingerprints, *, most_bits: int, others: Fingerprints | None = None
) -> list[Pair]:
    """The pairs of which more than half of the frames differ by at most ``most_bits`` of 64.

    Frames at the same places are compared, of each video with each after it, or with each of
    ``others`` where they are given. The distance is the median over the frames. One that is too
    flat to tell is near to none, so that black frames make no pair, nor does one title. Memory: 30
    MiB and the pairs.

    Raises:
        StudyError: more than a million pairs.
    """
    found: list[Pair] = []
    beside = videos if others is None else others
    for row, column in _corners(len(videos.bits), len(beside.bits), all_pairs=others is not None):
        near = _near_in_block(
            Fingerprints(*(part[row : row + _ROWS] for part in videos)),
            Fingerprints(*(part[column : column + _COLUMNS] for part in beside)),
            most_bits,
        )
        pairs = np.argwhere(near) + np.array([row, column])
        if others is None:
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        if len(found) + len(pairs) > MOST_PAIRS:
            raise StudyError(
                f"more than {MOST_PAIRS:,} pairs of videos look alike: give a smaller "
                "folds.near_duplicates, or null, which does not look for them",
                place=("folds", "near_duplicates"),
            )
        found += _measured(videos, beside, pairs)
    return sorted(found)


def _corners(count: int, beside: int, *, all_pairs: bool) -> Iterator[tuple[int, int]]:
    """Where blocks begin in which a video meets one that comes after it, or any."""
    for row in range(0, count, _ROWS):
        first = 0 if all_pairs else row // _COLUMNS * _COLUMNS
        for column in range(first, beside, _COLUMNS):
            yield row, column


def _near_in_block(
    videos: Fingerprints, others: Fingerprints, most_bits: int
) -> Bool[np.ndarray, "videos others"]:
    width = videos.bits.shape[1]
    within = np.zeros((len(videos.bits), len(others.bits)), np.uint8)
    for frame in range(width):
        apart = np.bitwise_count(videos.bits[:, frame, None] ^ others.bits[None, :, frame])
        both = videos.known[:, frame, None] & others.known[None, :, frame]
        within += (apart <= most_bits) & both
    near: Bool[np.ndarray, "videos others"] = 2 * within > width
    return near


def _measured(
    videos: Fingerprints, others: Fingerprints, pairs: Int[np.ndarray, "pairs 2"]
) -> Iterator[Pair]:
    first, second = pairs.T
    apart: UInt8[np.ndarray, "pairs frames"] = np.bitwise_count(
        videos.bits[first] ^ others.bits[second]
    )
    apart[~(videos.known[first] & others.known[second])] = _UNKNOWN
    medians = np.sort(apart, axis=1)[:, apart.shape[1] // 2]
    return map(Pair, first.tolist(), second.tolist(), medians.tolist())

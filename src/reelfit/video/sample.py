"""Which frames of a video make a clip."""

from itertools import pairwise
from math import ceil

import numpy as np

SAMPLINGS = ("uniform", "centre", "random", "every_nth")
"""The ways to choose, as a study names them."""
_ROUNDING = 1e-9  # 0.1 of 70 frames is 7, and 7.000000000000001 in binary


def sample_frames(
    frame_count: int,
    *,
    count: int,
    sampling: str,
    every: int = 1,
    generator: np.random.Generator | None = None,
) -> list[int]:
    """``count`` indices of a video of ``frame_count`` frames, never decreasing.

    - ``uniform``: the middle of each of ``count`` equal parts of the whole video.
    - ``centre``: consecutive frames around the middle.
    - ``random``: one frame of each equal part, drawn from ``generator``.
    - ``every_nth``: every ``every``-th frame around the middle; where the video is too short for
      that, the largest step that fits.

    A video of fewer than ``count`` frames shows each of them, some repeated, evenly spread.

    Raises:
        ValueError: a number below 1, an unknown sampling, or ``random`` without a generator.
    """
    if min(frame_count, count, every) < 1:
        raise ValueError(f"{frame_count=}, {count=} and {every=} are at least 1")
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling={sampling!r} is not one of {', '.join(SAMPLINGS)}")
    if sampling == "random":
        if generator is None:
            raise ValueError("sampling='random' needs a generator")
        return _one_per_part(frame_count, count, generator)
    if sampling == "uniform" or frame_count < count:
        return _midpoints(frame_count, count)
    step = 1 if sampling == "centre" or count == 1 else min(every, (frame_count - 1) // (count - 1))
    first = (frame_count - 1 - (count - 1) * step) // 2
    return [first + step * place for place in range(count)]


def sample_seconds(
    duration_seconds: float,
    *,
    count: int,
    sampling: str,
    generator: np.random.Generator | None = None,
) -> list[float]:
    """``count`` times of a video, one in each of ``count`` equal parts of its duration.

    ``uniform`` takes their middles, ``random`` draws from ``generator``. At a constant rate these
    are the times of the frames that ``sample_frames`` gives for ``uniform``.

    Raises:
        ValueError: another sampling, or ``random`` without a generator.
    """
    if sampling == "uniform":
        within = np.full(count, 0.5)
    elif sampling == "random" and generator is not None:
        within = generator.random(count)
    else:
        raise ValueError(f"sampling={sampling!r}: uniform, or random with a generator")
    seconds: list[float] = ((np.arange(count) + within) * duration_seconds / count).tolist()
    return seconds


def sample_share(frame_count: int, *, share: float, least: int, most: int) -> list[int]:
    """The middle frame of each of several equal parts of a video of ``frame_count`` frames.

    Their number is ``share`` of all, rounded up, but at least ``least``, at most ``most``, and
    never more than there are.

    Raises:
        ValueError: a number below 1, or ``share`` not above 0 and up to 1.
    """
    if min(frame_count, least, most) < 1 or not 0 < share <= 1:
        raise ValueError(f"{frame_count=}, {least=} and {most=} are at least 1, {share=} in 0..1")
    count = min(most, max(least, ceil(share * frame_count - _ROUNDING)), frame_count)
    return _midpoints(frame_count, count)


def _midpoints(frame_count: int, count: int) -> list[int]:
    return [(2 * part + 1) * frame_count // (2 * count) for part in range(count)]


def _one_per_part(frame_count: int, count: int, generator: np.random.Generator) -> list[int]:
    if frame_count < count:  # parts of less than a frame: there is nothing to draw
        return _midpoints(frame_count, count)
    edges = [part * frame_count // count for part in range(count + 1)]
    return [int(generator.integers(low, high)) for low, high in pairwise(edges)]

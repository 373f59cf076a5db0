"""Whether a process's memory grows as it works: a slope, how sure it is, and a plain verdict.

Samples of a working process swing with what it does at that moment, begin with a ramp of imports
and first allocations, and may step up once for good. A leak is none of these: it rises on and on.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from jaxtyping import Float

CONFIDENCE: Final = 0.95
WARM_UP: Final = 0.25
"""The first share of the work is left out: allocators and caches fill up in it."""
BINS: Final = 24
"""Neighbouring samples swing together and are no independent evidence: of each bin of them one
figure is taken, the lower quartile. What stays shows in it better than in what a step swings up to.
"""
FEWEST: Final = 12
"""With fewer samples after the warm-up nothing is said."""
LEAST_MB: Final = 16.0
LEAST_SHARE: Final = 0.05
"""What was gained, at the lower end of the interval, must be this much and this share of what is
held: less is a cache that fills, and harms nobody within the run."""
CLEARLY: Final = 0.7
"""Of the squares that a line leaves: what one step up may leave at most to be taken instead."""

Verdict = Literal["growing", "steady", "unclear", "too short"]
"""``unclear`` rises for sure, but by little, or as much like one step up as like a line."""


@dataclass(frozen=True)
class Slope:
    """A slope and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Slope":
        """The same per another unit."""
        return Slope(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Growth:
    """What a series of samples says; without a slope where there are too few of them."""

    verdict: Verdict
    samples: int
    slope: Slope | None = None
    gained: Slope | None = None
    """By the slope, in MiB from the end of the warm-up to the last sample."""


def theil_sen(x: Float[np.ndarray, " samples"], y: Float[np.ndarray, " samples"]) -> Slope:
    """The median of the slopes between all pairs, which up to 29 % of wild samples cannot bend.

    Source: Sen, Estimates of the regression coefficient based on Kendall's tau, 1968, as
    ``scipy.stats.theilslopes`` computes its interval.

    Raises:
        ValueError: no two samples differ in ``x``.
    """
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] != x[first]
    slopes = np.sort((y[second] - y[first])[apart] / (x[second] - x[first])[apart], kind="stable")
    if not slopes.size:
        raise ValueError("no two samples differ in x")
    variance = (_pairs(len(x)) - _tied(x) - _tied(y)) / 18
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * np.sqrt(max(variance, 0.0))
    low = max(round((slopes.size - reach) / 2) - 1, 0)
    high = min(round((slopes.size + reach) / 2), slopes.size - 1)
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def _pairs(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _tied(values: Float[np.ndarray, " samples"]) -> int:
    _, counts = np.unique(values, return_counts=True)
    return sum(_pairs(int(count)) for count in counts)


def judge_growth(
    work: Float[np.ndarray, " samples"], held_mb: Float[np.ndarray, " samples"]
) -> Growth:
    """Whether what a process holds grows with its work, in steps or seconds, which only rises.

    Slopes over time alone call many a healthy process a leak; so the rise has to be sure, large and
    lasting.

    Source: Garg and others, A methodology for detection and estimation of software aging, 1998, for
    the slope; Machida and others, On the effectiveness of Mann-Kendall test for detection of
    software aging, 2013, for its false alarms.
    """
    kept = work >= work[0] + WARM_UP * (work[-1] - work[0]) if work.size else work > 0
    work, held_mb = work[kept], held_mb[kept]
    if work.size < FEWEST or work[0] == work[-1]:
        return Growth("too short", int(work.size))
    bins = min(BINS, work.size)
    x = np.array([np.median(part) for part in np.array_split(work, bins)])
    y = np.array([np.quantile(part, 0.25) for part in np.array_split(held_mb, bins)])
    slope = theil_sen(x, y)
    gained = slope.times(float(work[-1] - work[0]))
    needed = max(LEAST_MB, LEAST_SHARE * float(np.median(y)))
    left = _left_by_step(y) / max(_left_by_line(x, y, slope.value), 1e-9)
    verdict: Verdict = "steady"
    if gained.low >= needed and left > 1:
        verdict = "growing"
    elif gained.low > 0 and gained.high >= needed and left > CLEARLY:
        verdict = "unclear"
    return Growth(verdict, int(work.size), slope, gained)


def _left_by_line(
    x: Float[np.ndarray, " bins"], y: Float[np.ndarray, " bins"], slope: float
) -> float:
    rest = y - slope * x
    return float(((rest - np.median(rest)) ** 2).sum())


def _left_by_step(y: Float[np.ndarray, " bins"]) -> float:
    """The squares left by the best of all single steps from one level to another."""
    return min(
        float(y[:at].var() * at + y[at:].var() * (y.size - at)) for at in range(2, y.size - 1)
    )

"""Resamples of whole groups, and what metrics become over them."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Int64, UInt32

from reelfit.data.seeds import generator_for
from reelfit.metrics.metric import Metric, Probabilities, Targets, Values, Weights

CONFIDENCE = 0.95
_CHUNK_NUMBERS = 2**18
"""Weights held at once: 2 MiB, which stays in a processor's cache."""

Counts = UInt32[np.ndarray, "resample group"]


def number_groups(names: Iterable[str]) -> Int64[np.ndarray, " sample"]:
    """Each sample's group as a number, by the order of their names."""
    return np.unique(np.array(list(names), dtype=str), return_inverse=True)[1].astype(np.int64)


def draw_groups(num_groups: int, *, resamples: int, seed: int) -> Counts:
    """How often each resample draws each group: as many draws, with repetition, as there are.

    The same seed gives every model the same resamples, so that their differences are paired.
    """
    counts = np.zeros((resamples, num_groups), dtype=np.uint32)
    for number in range(resamples):
        drawn = generator_for(seed, "bootstrap", number).integers(num_groups, size=num_groups)
        counts[number] = np.bincount(drawn, minlength=num_groups)
    return counts


def weigh(counts: Counts, groups: Int64[np.ndarray, " sample"]) -> Iterator[Weights]:
    """The weights of the samples, some resamples at a time. Memory: 2 MiB, or one resample."""
    size = max(1, _CHUNK_NUMBERS // max(1, len(groups)))
    for begin in range(0, len(counts), size):
        yield counts[begin : begin + size].astype(np.float64)[:, groups]


def resampled(
    metrics: dict[str, Metric],
    targets: Targets,
    probabilities: Probabilities,
    groups: Int64[np.ndarray, " sample"],
    counts: Counts,
    *,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> dict[str, Values]:
    """Each metric of each resample; NaN where the resample leaves it undefined.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), clusters drawn whole.
    """
    found: dict[str, list[Values]] = {name: [] for name in metrics}
    done = 0
    for weights in weigh(counts, groups):
        for name, metric in metrics.items():
            found[name].append(metric.values(targets, probabilities, weights))
        done += len(weights)
        on_progress(done)
    return {name: np.concatenate(values) for name, values in found.items()}


def middle(values: Values) -> tuple[float | None, float | None]:
    """The bounds of the middle 95 % of what is defined; None where nothing is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    return float(np.quantile(defined, tail)), float(np.quantile(defined, 1 - tail))

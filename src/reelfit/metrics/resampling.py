"""Resamples of whole groups, and what metrics become over them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from jaxtyping import Float64, Int64

from reelfit.data.seeds import generator_for
from reelfit.metrics.metric import Metric, Probabilities, Targets, Values

CONFIDENCE = 0.95
BLOCK = 50
"""Resamples drawn at once, by one generator: another number would be other resamples."""

Counts = Float64[np.ndarray, "resample group"]


def number_groups(names: Iterable[str]) -> Int64[np.ndarray, " sample"]:
    """Each sample's group as a number, by the order of their names."""
    return np.unique(np.array(list(names), dtype=str), return_inverse=True)[1].astype(np.int64)


def draw_each(
    num_groups: int, *, resamples: int, seed: int
) -> Iterator[Float64[np.ndarray, " group"]]:
    """How often each resample draws each group, one resample at a time.

    As many are drawn, with repetition, as there are. The same seed gives every model the same
    resamples, so that their differences are paired. Memory: three numbers for each group.
    """
    for begin in range(0, resamples, BLOCK):
        generator = generator_for(seed, "bootstrap", begin)
        for _ in range(min(BLOCK, resamples - begin)):
            drawn = generator.integers(num_groups, size=num_groups)
            yield np.bincount(drawn, minlength=num_groups).astype(np.float64)


def draw_groups(num_groups: int, *, resamples: int, seed: int) -> Iterator[Counts]:
    """The same, some resamples at a time. Memory: 50 numbers for each group."""
    each = draw_each(num_groups, resamples=resamples, seed=seed)
    while block := list(islice(each, BLOCK)):
        yield np.stack(block)


def resampled(
    metrics: dict[str, Metric],
    targets: Targets,
    probabilities: Probabilities,
    groups: Int64[np.ndarray, " sample"],
    draws: Iterable[Counts],
    *,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> dict[str, Float64[np.ndarray, " total"]]:
    """Each metric of each resample; NaN where the resample leaves it undefined.

    Memory: 50 weights for each sample.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), clusters drawn whole.
    """
    found: dict[str, list[Float64[np.ndarray, " block"]]] = {name: [] for name in metrics}
    done = 0
    for counts in draws:
        weights = counts[:, groups]
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

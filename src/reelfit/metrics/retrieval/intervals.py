"""Intervals of retrieval's measures over resamples of whole groups of videos."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from reelfit.metrics.resampling import draw_each, middle
from reelfit.metrics.retrieval.measures import mean_columns

Interval = tuple[float | None, float | None]


def find_intervals(
    queries: pl.DataFrame,
    query_of_pair: Int64[np.ndarray, " pair"],
    group_of_pair: Int64[np.ndarray, " pair"],
    *,
    ks: Sequence[int],
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    """The middle 95 % of each measure over the resamples; all else that is searched stays.

    A query counts in equal shares for each of its right pairs, and each share as often as the
    group of the pair's video is drawn. So a text that several groups share counts by parts.

    Memory: 40 bytes for each pair and each group.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), clusters
    drawn whole.
    """
    names = mean_columns(ks)
    table = queries.select(set(names.values())).fill_null(0.0)
    num_groups = int(group_of_pair.max()) + 1
    share = 1 / queries["right"].to_numpy()[query_of_pair]
    sums = {
        name: np.bincount(
            group_of_pair, share * table[column].to_numpy()[query_of_pair], minlength=num_groups
        )
        for name, column in names.items()
    }
    sizes = np.bincount(group_of_pair, share, minlength=num_groups)
    rank = queries["rank"].fill_null(0.0).to_numpy()[query_of_pair]
    order = np.argsort(rank, kind="stable")
    rank, share, groups = rank[order], share[order], group_of_pair[order]
    found: dict[str, list[float]] = {name: [] for name in (*names, "median_rank")}
    for counts in draw_each(num_groups, resamples=resamples, seed=seed):
        size = float(counts @ sizes)
        for name, values in sums.items():
            found[name].append(float(counts @ values) / size if size else np.nan)
        found["median_rank"].append(_median(rank, share * counts[groups]))
    return {name: middle(np.array(values)) for name, values in found.items()}


def _median(rising: Float64[np.ndarray, " pair"], weights: Float64[np.ndarray, " pair"]) -> float:
    """Half of the weight is at or below it, and half at or above; the middle of all that is so."""
    reached = np.cumsum(weights)
    if not reached[-1]:
        return float("nan")
    half, slack = reached[-1] / 2, 1e-9 * reached[-1]
    lower = rising[np.searchsorted(reached, half - slack)]
    upper = rising[np.searchsorted(reached, half + slack)]
    return float(lower + upper) / 2

"""The measures of retrieval, of every query and over all, from places among the wrong ones."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from reelfit.metrics.retrieval.tally import Tally
from reelfit.metrics.retrieval.thresholds import Thresholds

Ties = Literal["mean", "optimistic", "pessimistic"]
SHARE_OF_TIED: dict[str, float] = {"mean": 0.5, "optimistic": 0.0, "pessimistic": 1.0}
GAIN_DEPTHS = (5, 10)


def positions(tally: Tally, *, ties: Ties) -> Float64[np.ndarray, " right"]:
    """The place of each right one in its query's list, from 1 on.

    Its place among the right ones, and all wrong ones above it; of those that tie none, half or all
    are above.
    """
    above, tied = tally.counts()
    thresholds = tally.thresholds
    among = np.arange(len(above)) - thresholds.bounds[thresholds.queries] + 1
    return np.asarray(among + above + SHARE_OF_TIED[ties] * tied)


def measure_queries(
    thresholds: Thresholds, places: Float64[np.ndarray, " right"], *, ks: Sequence[int]
) -> pl.DataFrame:
    """One row for each query, null where nothing is right.

    Source: of nDCG K. Järvelin and J. Kekäläinen, Cumulated gain-based evaluation of IR techniques,
    ACM Transactions on Information Systems 20(4), 2002, with gains of 0 and 1; of average precision
    C. Manning, P. Raghavan and H. Schütze, Introduction to Information Retrieval (2008), chapter 8.
    """
    queries, count = thresholds.queries, len(thresholds.num_right)
    right = thresholds.num_right
    among = np.arange(len(places)) - thresholds.bounds[queries] + 1
    found = right > 0
    rank = np.full(count, np.nan)
    rank[found] = places[thresholds.bounds[:-1][found]]

    def mean_over_right(values: Float64[np.ndarray, " right"]) -> Float64[np.ndarray, " query"]:
        sums = np.bincount(queries, values, minlength=count)
        return np.asarray(np.divide(sums, right, out=np.full(count, np.nan), where=found))

    columns: dict[str, np.ndarray] = {"query": np.arange(count), "right": right, "rank": rank}
    for k in ks:
        columns[f"recall@{k}"] = np.where(found, rank <= k, np.nan)
    columns["reciprocal_rank"] = 1 / rank
    columns["average_precision"] = mean_over_right(among / places)
    for depth in GAIN_DEPTHS:
        columns[f"ndcg@{depth}"] = _ndcg(places, queries, right, depth)
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))


def _ndcg(
    places: Float64[np.ndarray, " right"],
    queries: Int64[np.ndarray, " right"],
    right: Int64[np.ndarray, " query"],
    depth: int,
) -> Float64[np.ndarray, " query"]:
    gains = np.where(places <= depth, 1 / np.log2(1 + places), 0.0)
    sums = np.bincount(queries, gains, minlength=len(right))
    best = np.concatenate([[0.0], np.cumsum(1 / np.log2(2 + np.arange(depth)))])
    best = best[np.minimum(right, depth)]
    return np.asarray(np.divide(sums, best, out=np.full(len(right), np.nan), where=right > 0))


def mean_columns(ks: Sequence[int]) -> dict[str, str]:
    """The column of which each measure is the mean, by the measure's name."""
    recalls = {f"recall@{k}": f"recall@{k}" for k in ks}
    gains = {f"ndcg@{depth}": f"ndcg@{depth}" for depth in GAIN_DEPTHS}
    others = {"mean_rank": "rank", "mrr": "reciprocal_rank", "map": "average_precision"}
    return recalls | others | gains


def summarize(queries: pl.DataFrame, *, ks: Sequence[int]) -> dict[str, float]:
    """Every measure over the queries that have right ones."""
    some = queries.filter(pl.col("right") > 0)
    found = {
        name: float(np.mean(some[column].to_numpy())) for name, column in mean_columns(ks).items()
    }
    return found | {"median_rank": float(np.median(some["rank"].to_numpy()))}

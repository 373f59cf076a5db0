"""What is made of the predictions of one model's folds on another set: tables in, tables out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from reelfit.data.evaluation_tables import EVALUATE_ON, OTHERS_SAID, frame_of
from reelfit.metrics import METRICS, measure
from reelfit.metrics.metric import Values
from reelfit.metrics.resampling import middle
from reelfit.stages.judging import FEWEST_GROUPS, Told, arrays, bootstrap

EACH, TOGETHER = "each", "together"
"""Each fold's model by itself, the metric averaged; the folds' probabilities averaged."""


def predictions_of_folds(folds: dict[int, pl.DataFrame], other: str, model: str) -> pl.DataFrame:
    """All folds' predictions, and those of their averaged probabilities, which have no fold.

    ``folds`` has for each fold video_id, path, group, target and probabilities, in one order.
    """
    stacked = np.stack([arrays(said)[1] for said in folds.values()])
    mean = pl.Series("probabilities", stacked.mean(0).tolist(), dtype=pl.List(pl.Float64))
    first = next(iter(folds.values()))
    parts = [*folds.items(), (None, first.with_columns(mean))]
    return pl.concat(
        said.with_columns(
            pl.lit(other).alias("other"),
            pl.lit(model).alias("model"),
            pl.lit(fold, pl.Int32).alias("fold"),
            pl.col("probabilities").list.arg_max().cast(pl.Int32).alias("predicted"),
        ).select(*OTHERS_SAID.columns)
        for fold, said in parts
    )


@dataclass(frozen=True)
class Found:
    """Each metric's value, and what it is over the resamples, where groups enough were drawn."""

    values: Mapping[str, float | None] = field(default_factory=dict)
    samples: Mapping[str, Values] = field(default_factory=dict)


def judge(
    predictions: pl.DataFrame,
    summary: pl.DataFrame,
    own: pl.DataFrame,
    *,
    classes: Sequence[str],
    resamples: int,
    seed: int,
    on_progress: Told = lambda _done: None,
) -> pl.DataFrame:
    """Each metric of ``predictions_of_folds`` in both ways, and how much worse it is than before.

    ``summary`` has the out-of-fold values of the model, ``own`` those of its resamples. The
    resamples here are of the other set's groups, drawn independently of those: the interval of the
    drop is of their differences.
    """
    together = predictions.filter(pl.col("fold").is_null())
    groups = together["group"].n_unique()
    remark = _what_is_missing(predictions, classes, groups)
    facts = {name: predictions[name][0] for name in ("other", "model")}
    facts |= {"videos": together.height, "groups": groups}
    ways = {EACH: Found(), TOGETHER: Found()}
    if _finite(predictions):
        folds = predictions.drop_nulls("fold").partition_by("fold", maintain_order=True)
        parts = []
        for number, said in enumerate([*folds, together]):
            drawn = resamples if groups >= FEWEST_GROUPS else 0
            parts.append(_found(said, resamples=drawn, seed=seed))
            on_progress((number + 1) * resamples)
        ways = {EACH: _averaged(parts[:-1]), TOGETHER: parts[-1]}
    before = {row["metric"]: row["out_of_fold"] for row in summary.to_dicts()}
    rows = [
        {**facts, "way": way, "remark": remark, **_row(metric, found, before[metric], own[metric])}
        for way, found in ways.items()
        for metric in METRICS
    ]
    return frame_of(rows, EVALUATE_ON)


def _row(metric: str, found: Found, before: float | None, own: pl.Series) -> dict[str, Any]:
    """The metric with its interval, what it was before, and the drop with its interval."""
    value, samples = found.values.get(metric), found.samples.get(metric)
    drop, drops = None, None
    if value is not None and before is not None:
        sign = 1.0 if METRICS[metric].higher_is_better else -1.0
        drop = sign * (before - value)
        drops = None if samples is None else sign * (own.to_numpy() - samples)
    low, high = _bounds(samples if value is not None else None)
    drop_low, drop_high = _bounds(drops)
    return {
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "out_of_fold": before,
        "drop": drop,
        "drop_low": drop_low,
        "drop_high": drop_high,
    }


def _bounds(samples: Values | None) -> tuple[float | None, float | None]:
    return (None, None) if samples is None else middle(samples)


def _found(said: pl.DataFrame, *, resamples: int, seed: int) -> Found:
    samples = bootstrap(said, resamples=resamples, seed=seed) if resamples else {}
    return Found(measure(*arrays(said)), samples)


def _averaged(folds: Sequence[Found]) -> Found:
    """The mean over folds of each metric, and of each of its resamples, which all folds share."""
    values: dict[str, float | None] = {}
    for metric in METRICS:
        defined = [value for fold in folds if (value := fold.values[metric]) is not None]
        values[metric] = float(np.mean(defined)) if len(defined) == len(folds) else None
    drawn = folds[0].samples
    samples = {name: np.mean([fold.samples[name] for fold in folds], axis=0) for name in drawn}
    return Found(values, samples)


def _finite(predictions: pl.DataFrame) -> bool:
    return bool(np.isfinite(arrays(predictions)[1]).all())


def _what_is_missing(predictions: pl.DataFrame, classes: Sequence[str], groups: int) -> str:
    if not _finite(predictions):
        return "a probability is no number: no figure"
    present = set(predictions["target"].to_list())
    absent = [name for target, name in enumerate(classes) if target not in present]
    if absent:
        return f"no video of the class {', '.join(absent)} is there"
    return f"fewer than {FEWEST_GROUPS} groups: no interval" if groups < FEWEST_GROUPS else ""

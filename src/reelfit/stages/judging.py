"""What the evaluation makes of one model's out-of-fold predictions: tables in, tables out."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from reelfit.data.evaluation_tables import (
    ADJUSTED,
    CALIBRATION,
    GROUP_SUMMARY,
    SUBSETS,
    frame_of,
)
from reelfit.data.seeds import seed_for
from reelfit.data.tables import KFOLD_RESULTS, SUMMARY
from reelfit.metrics import METRICS, measure
from reelfit.metrics.metric import Probabilities, Targets, Values
from reelfit.metrics.resampling import draw_groups, middle, number_groups, resampled
from reelfit.metrics.temperature import apply_temperature, fit_temperature
from reelfit.metrics.threshold import choose_threshold

OF_SUBSETS = (
    "roc_auc",
    "average_precision",
    "balanced_accuracy",
    "brier_score",
    "expected_calibration_error",
)
"""The metrics that are measured of each subset."""
OF_PROBABILITIES = (
    "expected_calibration_error",
    "equal_mass_calibration_error",
    "brier_score",
    "log_loss",
)
"""The metrics that a temperature can change."""
FEWEST_GROUPS = 5
"""A subset with fewer is shown with its size alone."""

Told = Callable[[int], None]


def arrays(predictions: pl.DataFrame) -> tuple[Targets, Probabilities]:
    """Targets and probabilities, a row for each prediction."""
    targets = predictions["target"].cast(pl.Int64).to_numpy()
    return targets, np.array(predictions["probabilities"].to_list(), dtype=np.float64)


def bootstrap(
    predictions: pl.DataFrame,
    *,
    metrics: tuple[str, ...] = tuple(METRICS),
    resamples: int,
    seed: int,
    on_progress: Told = lambda _done: None,
) -> dict[str, Values]:
    """Each metric over resamples of whole groups, the same ones for equal groups and seed."""
    groups = number_groups(predictions["group"])
    return resampled(
        {name: METRICS[name] for name in metrics},
        *arrays(predictions),
        groups,
        draw_groups(int(groups.max()) + 1, resamples=resamples, seed=seed),
        on_progress=on_progress,
    )


def fold_results(
    predictions: pl.DataFrame, model: str, results: dict[int, dict[str, Any]]
) -> pl.DataFrame:
    """Each metric of each fold; ``results`` has what training left of each."""
    rows = [
        {
            "model": model,
            "fold": fold,
            **{name: result[name] for name in ("num_train", "num_validation", "best_epoch")},
            "best_fold": False,
            "metric": metric,
            "value": value,
        }
        for fold, result in results.items()
        for metric, value in measure(*arrays(predictions.filter(pl.col("fold") == fold))).items()
    ]
    frame = frame_of(rows, KFOLD_RESULTS)
    return frame.with_columns(best_fold=pl.col("fold") == best_fold(frame))


def best_fold(results: pl.DataFrame) -> int:
    """The fold of the highest ROC AUC, else accuracy; the first of equals."""
    for metric in ("roc_auc", "accuracy"):
        values = results.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
        if not values.is_empty():
            best = values.sort("value", "fold", descending=[True, False])
            return int(best["fold"][0])
    return 1


def summarise(
    predictions: pl.DataFrame, results: pl.DataFrame, samples: dict[str, Values]
) -> pl.DataFrame:
    """Each metric over folds, over all videos, and its interval over ``samples``."""
    overall, best = measure(*arrays(predictions)), best_fold(results)
    rows = []
    for metric in METRICS:
        values = results.filter(pl.col("metric") == metric)["value"].drop_nulls()
        low, high = middle(samples[metric])
        rows.append(
            {
                "model": results["model"][0],
                "metric": metric,
                "mean": values.mean(),
                "standard_deviation": values.std(),
                "out_of_fold": overall[metric],
                "low": low,
                "high": high,
                "best_fold": best,
            }
        )
    return frame_of(rows, SUMMARY)


def by_group(predictions: pl.DataFrame, *, resamples: int, seed: int) -> pl.DataFrame:
    """Each metric where the videos of one group and class are one item, their scores averaged."""
    items = (
        predictions.with_columns(place=pl.int_ranges(pl.col("probabilities").list.len()))
        .explode("probabilities", "place")
        .group_by("model", "group", "target", "place")
        .agg(pl.col("probabilities").mean())
        .sort("group", "target", "place")
        .group_by("model", "group", "target", maintain_order=True)
        .agg("probabilities")
    )
    overall = measure(*arrays(items))
    samples = bootstrap(items, resamples=resamples, seed=seed)
    rows = [
        {
            "model": items["model"][0],
            "metric": metric,
            "items": items.height,
            "value": overall[metric],
            **dict(zip(("low", "high"), middle(samples[metric]), strict=True)),
        }
        for metric in METRICS
    ]
    return frame_of(rows, GROUP_SUMMARY)


def by_subset(
    predictions: pl.DataFrame, columns: pl.DataFrame, *, resamples: int, seed: int
) -> pl.DataFrame:
    """Some metrics of each value of each of ``columns``, which has a row for each video_id."""
    joined = predictions.join(columns, on="video_id", how="left", maintain_order="left")
    rows = []
    for column in columns.columns[1:]:
        for value in joined[column].unique().sort().to_list():
            part = joined.filter(pl.col(column) == value)
            facts = {
                "model": part["model"][0],
                "column": column,
                "subset": value,
                "videos": part.height,
                "groups": part["group"].n_unique(),
            }
            own = seed_for(seed, "subset", column, value)
            rows += [facts | found for found in _subset_values(part, resamples=resamples, seed=own)]
    return frame_of(rows, SUBSETS)


def _subset_values(part: pl.DataFrame, *, resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    groups, classes = part["group"].n_unique(), part["target"].n_unique()
    remark = ""
    if groups < FEWEST_GROUPS:
        remark = f"fewer than {FEWEST_GROUPS} groups: too few to judge"
    elif classes == 1:
        remark = "one class alone: nothing to tell apart"
    if remark:
        for metric in OF_SUBSETS:
            yield {"metric": metric, "value": None, "low": None, "high": None, "remark": remark}
        return
    samples = bootstrap(part, metrics=OF_SUBSETS, resamples=resamples, seed=seed)
    for metric in OF_SUBSETS:
        value = METRICS[metric].value(*arrays(part))
        low, high = middle(samples[metric]) if value is not None else (None, None)
        remark = "" if value is not None else "not every class is there"
        yield {"metric": metric, "value": value, "low": low, "high": high, "remark": remark}


def adjust(predictions: pl.DataFrame) -> pl.DataFrame:
    """Each fold's predictions with a temperature and a threshold of the other folds' predictions.

    Neither sees a label of the fold that it is used on. Where there is no other fold, the
    probabilities stay as they are, and the most probable class decides.
    """
    parts = []
    for (fold,), own in predictions.group_by("fold", maintain_order=True):
        others = predictions.filter(pl.col("fold") != fold)
        scores = arrays(own)[1]
        temperature, threshold, decided = 1.0, None, scores.argmax(1)
        if not others.is_empty():
            targets, probabilities = arrays(others)
            temperature = fit_temperature(targets, probabilities)
        if scores.shape[1] == 2 and not others.is_empty():
            threshold = choose_threshold(targets, probabilities[:, 1])
            decided = (scores[:, 1] >= threshold).astype(np.int64)
        softened = scores if others.is_empty() else apply_temperature(scores, temperature)
        parts.append(
            own.with_columns(
                temperature=pl.lit(temperature),
                threshold=pl.lit(threshold, pl.Float64),
                decided=pl.Series(decided, dtype=pl.Int32),
                probabilities=pl.Series(softened.tolist(), dtype=pl.List(pl.Float64)),
            )
        )
    return pl.concat(parts).sort("video_id").select(*ADJUSTED.columns)


def calibration(predictions: pl.DataFrame, adjusted: pl.DataFrame) -> pl.DataFrame:
    """The metrics of probabilities before and after the temperature."""
    before, after = measure(*arrays(predictions)), measure(*arrays(adjusted))
    model = predictions["model"][0]
    rows = [
        {"model": model, "metric": name, "before": before[name], "after": after[name]}
        for name in OF_PROBABILITIES
    ]
    return frame_of(rows, CALIBRATION)

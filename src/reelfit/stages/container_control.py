"""The control beside the models: what container facts alone tell of the labels."""

from typing import Any

import numpy as np
import polars as pl

from reelfit.data.evaluation_tables import CONTROL_FACTS, frame_of
from reelfit.data.tables import PREDICTIONS
from reelfit.metrics import METRICS
from reelfit.metrics.resampling import middle
from reelfit.models.container_facts import (
    NAMES,
    NUMBERS,
    Columns,
    Probabilities,
    fact_columns,
    predict_by_facts,
    predict_by_one_fact,
)
from reelfit.stages.evaluated import CONTROL
from reelfit.stages.judging import Told, arrays, bootstrap

ALL_FACTS = "all facts"


def control_predictions(
    videos: pl.DataFrame, index: pl.DataFrame, *, never_judged: pl.DataFrame, seed: int
) -> pl.DataFrame:
    """Out-of-fold predictions by all facts, of the videos, folds and groups of ``videos``.

    ``videos`` are predictions of any model with the ``path`` of each; ``never_judged`` has path,
    target and fold of those that are for training alone.
    """
    columns, targets, folds = _shown(videos, never_judged, index)
    found = predict_by_facts(
        np.concatenate(list(columns.values()), axis=1),
        targets,
        folds,
        num_classes=arrays(videos)[1].shape[1],
        seed=seed,
    )
    return _with(videos, found[: videos.height])


def facts_alone(
    videos: pl.DataFrame,
    index: pl.DataFrame,
    together: pl.DataFrame,
    *,
    never_judged: pl.DataFrame,
    resamples: int,
    seed: int,
    on_progress: Told,
) -> pl.DataFrame:
    """The ROC AUC of ``together``, the control's predictions, and of each fact by itself."""
    columns, targets, folds = _shown(videos, never_judged, index)
    classes = arrays(videos)[1].shape[1]

    def row(fact: str, predictions: pl.DataFrame) -> dict[str, Any]:
        samples = bootstrap(predictions, metrics=("roc_auc",), resamples=resamples, seed=seed)
        low, high = middle(samples["roc_auc"])
        value = METRICS["roc_auc"].value(*arrays(predictions))
        return {"fact": fact, "value": value, "low": low, "high": high}

    rows = []
    for number, (fact, column) in enumerate(columns.items(), 1):
        found = predict_by_one_fact(column, targets, folds, num_classes=classes)
        rows.append(row(fact, _with(videos, found[: videos.height])))
        on_progress(number * resamples // len(columns))
    rows.sort(key=lambda found: -(found["value"] or 0.0))
    return frame_of([row(ALL_FACTS, together), *rows], CONTROL_FACTS)


def _shown(
    videos: pl.DataFrame, never_judged: pl.DataFrame, index: pl.DataFrame
) -> tuple[dict[str, Columns], Any, Any]:
    """Facts, target and fold of each of ``videos``, then of those that are never judged."""
    rows = pl.concat([each.select("path", "target", "fold") for each in (videos, never_judged)])
    facts = index.select("path", *NUMBERS, *NAMES)
    columns = fact_columns(rows.join(facts, on="path", how="left", maintain_order="left"))
    targets, numbers = (rows[name].cast(pl.Int64).to_numpy() for name in ("target", "fold"))
    return columns, targets, numbers


def _with(videos: pl.DataFrame, probabilities: Probabilities) -> pl.DataFrame:
    return videos.with_columns(
        model=pl.lit(CONTROL),
        predicted=pl.Series(probabilities.argmax(1), dtype=pl.Int32),
        probabilities=pl.Series(probabilities.tolist(), dtype=pl.List(pl.Float64)),
    ).select(*PREDICTIONS.columns)

"""The table of comparisons, from what the models' units left."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from reelfit.data.evaluation_tables import COMPARISON, frame_of
from reelfit.metrics.comparison import Comparison, Judged, compare_all, compare_with
from reelfit.metrics.metric import Values

METRIC = "roc_auc"


def judged(model: str, results: pl.DataFrame, value: float | None, samples: Values) -> Judged:
    """One model as comparisons see it; ``results`` are those of its folds."""
    of_folds = results.filter(pl.col("metric") == METRIC).sort("fold")["value"]
    by_fold = of_folds.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Judged(model, value, samples, by_fold)


def comparison_table(
    models: Sequence[Judged], control: Judged, results: pl.DataFrame, *, num_groups: int
) -> pl.DataFrame:
    """Every pair of models, then each model and the control."""
    sizes = results.select((pl.col("num_validation") / pl.col("num_train")).mean())
    how: dict[str, Any] = {"num_groups": num_groups, "test_over_train": float(sizes.item())}
    pairs = compare_all(models, **how)
    beside = compare_with(models, control, **how)
    rows = [_row(pair, "model") for pair in pairs] + [_row(pair, "control") for pair in beside]
    return frame_of(rows, COMPARISON)


def _row(pair: Comparison, against: str) -> dict[str, Any]:
    return {**pair._asdict(), "against": against, "metric": METRIC}

"""What a report tells: plain values and tables, read from a run by the caller."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import polars as pl
from jaxtyping import UInt8

Frames = UInt8[np.ndarray, "time 3 height width"]

CURVES = {
    "model": pl.String,
    "fold": pl.Int32,
    "epoch": pl.Int32,
    "phase": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
}
"""Columns of ``RunContent.curves``; ``phase`` is ``train`` or ``validation``."""

MEMORY = {
    "seconds": pl.Float64,
    "stage": pl.String,
    "unit": pl.String,
    "host_rss_mb": pl.Float64,
    "host_peak_mb": pl.Float64,
    "budget_mb": pl.Float64,
}
"""Columns of ``RunContent.memory``; ``budget_mb`` is null where no limit was set."""

STAGES = {
    "stage": pl.String,
    "unit": pl.String,
    "seconds": pl.Float64,
    "host_peak_mb": pl.Float64,
    "retries": pl.Int64,
}
"""Columns of ``RunContent.stages``: one row per unit, in the order in which they began."""

PLANS = {
    "model": pl.String,
    "technique": pl.String,
    "micro_batch": pl.Int64,
    "accumulation": pl.Int64,
    "predicted_mb": pl.Float64,
    "measured_mb": pl.Float64,
}
"""Columns of ``RunContent.plans``: one row per network; ``measured_mb`` is the most that any of
its processes held, null where none was measured."""


class Mistake(NamedTuple):
    """A video whose class a model got wrong, with the frames that the model saw."""

    model: str
    video_id: str
    path: str
    label: str
    predicted: str
    probability: float
    """What the model gave the class ``predicted``."""
    frames: Frames


class LookAlike(NamedTuple):
    """Two videos that look alike, with the frames that the models get."""

    path: str
    label: str
    frames: Frames
    other_path: str
    other_label: str
    other_frames: Frames
    distance: int
    """Bits of 64 by which their fingerprints differ, in the median over the frames compared."""


class Strip(NamedTuple):
    """The frames of one clip, and what was done to them in words."""

    caption: str
    frames: Frames


class Sheet(NamedTuple):
    """One video as the models saw it: its original first, then its augmentations."""

    video_id: str
    path: str
    label: str
    rows: list[Strip]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What was found beside the summary, with the schemas of ``data/evaluation_tables.py``."""

    group_summary: pl.DataFrame
    subsets: pl.DataFrame
    adjusted: pl.DataFrame
    calibration: pl.DataFrame
    comparison: pl.DataFrame
    control_facts: pl.DataFrame
    permutations: pl.DataFrame


class OtherSet(NamedTuple):
    """What the models reach on other videos, with the schemas of ``data/evaluation_tables.py``."""

    name: str
    results: pl.DataFrame
    """The rows of this set in ``evaluate_on.parquet``."""
    rejected: pl.DataFrame
    """Those in ``evaluate_on_rejected.parquet``."""
    same_groups: int = 0
    """How many groups that were judged are called as a group of the study is."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RunContent:
    """What the report tells of a run of any task.

    ``folds``, ``rejected``, ``duplicates`` and ``search`` keep the schemas of ``data/tables.py``;
    ``curves``, ``memory``, ``stages`` and ``plans`` have the columns named above.
    """

    title: str
    run_id: str
    study_yaml: str
    environment: dict[str, Any]
    folds: pl.DataFrame
    rejected: pl.DataFrame
    duplicates: pl.DataFrame
    look_alikes: list[LookAlike]
    search: pl.DataFrame
    curves: pl.DataFrame
    memory: pl.DataFrame
    stages: pl.DataFrame
    plans: pl.DataFrame
    shrunk: list[str]
    """In sentences, which models are other ones than the study asked for."""
    decisions: list[str]
    contact_sheet: list[Sheet]
    elapsed_seconds: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ReportContent(RunContent):
    """All that the report tells of a run that classifies.

    ``predictions``, ``kfold_results`` and ``summary`` keep the schemas of ``data/tables.py``.
    Where there are two classes, the second is the positive one.
    """

    predictions: pl.DataFrame
    kfold_results: pl.DataFrame
    summary: pl.DataFrame
    evaluation: Evaluation
    others: tuple[OtherSet, ...] = ()
    """The sets of ``evaluate_on``."""
    classes: list[str]
    mistakes: list[Mistake]


def ranked_models(content: ReportContent) -> list[str]:
    """The models, best out-of-fold ROC AUC first; those without one last, in the summary's order.

    This one order serves the tables, the curves and their line styles.
    """
    scores = dict(
        content.summary.filter(pl.col("metric") == "roc_auc")
        .select("model", "out_of_fold")
        .iter_rows()
    )
    tables = (content.summary, content.kfold_results, content.predictions)
    names = dict.fromkeys(name for table in tables for name in table["model"].to_list())

    def rank(name: str) -> tuple[bool, float]:
        score = scores.get(name)
        return (score is None, -score if score is not None else 0.0)

    return sorted(names, key=rank)

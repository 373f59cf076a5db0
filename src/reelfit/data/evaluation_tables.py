"""The schemas of what the evaluation writes beside predictions and summary."""

from typing import Any

import pandera.polars as pa
import polars as pl

_TEXT = pa.Column(pl.String)
_COUNT = pa.Column(pl.Int64, pa.Check.ge(0))
_SHARE = pa.Column(pl.Float64, pa.Check.in_range(0, 1), nullable=True)
_VALUE = pa.Column(pl.Float64, nullable=True)
_BOUNDS = {"low": _VALUE, "high": _VALUE}
_WAYS = pa.Column(pl.String, pa.Check.isin(["refit", "labels"]))


def _schema(name: str, columns: dict[str, pa.Column], unique: list[str]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=unique, name=name)


GROUP_SUMMARY = _schema(
    "group_summary",
    {"model": _TEXT, "metric": _TEXT, "items": _COUNT, "value": _VALUE, **_BOUNDS},
    ["model", "metric"],
)
"""Per model and metric, over groups: the probabilities of a group's videos of one class, averaged,
are one of ``items``."""

SUBSETS = _schema(
    "subsets",
    {
        "model": _TEXT,
        "column": _TEXT,
        "subset": _TEXT,
        "videos": _COUNT,
        "groups": _COUNT,
        "metric": _TEXT,
        "value": _VALUE,
        **_BOUNDS,
        "remark": _TEXT,
    },
    ["model", "column", "subset", "metric"],
)
"""Per model, column, value of the column and metric; ``remark`` says why there is no value."""

ADJUSTED = _schema(
    "adjusted",
    {
        "model": _TEXT,
        "fold": pa.Column(pl.Int32, pa.Check.ge(1)),
        "video_id": _TEXT,
        "target": pa.Column(pl.Int32, pa.Check.ge(0)),
        "temperature": pa.Column(pl.Float64, pa.Check.gt(0)),
        "threshold": _SHARE,
        "decided": pa.Column(pl.Int32, pa.Check.ge(0)),
        "probabilities": pa.Column(pl.List(pl.Float64)),
    },
    ["model", "video_id"],
)
"""The out-of-fold predictions with the temperature and, of two classes, the threshold of the fold,
both chosen on the predictions of the other folds. ``decided`` is the class by that threshold;
``probabilities`` are those after the temperature."""

CALIBRATION = _schema(
    "calibration",
    {"model": _TEXT, "metric": _TEXT, "before": _VALUE, "after": _VALUE},
    ["model", "metric"],
)
"""Per model and metric of probabilities, over all out-of-fold predictions: before and after the
temperature of each fold."""

COMPARISON = _schema(
    "comparison",
    {
        "first": _TEXT,
        "second": _TEXT,
        "against": pa.Column(pl.String, pa.Check.isin(["model", "control"])),
        "metric": _TEXT,
        "difference": _VALUE,
        **_BOUNDS,
        "p_groups": _SHARE,
        "p_folds": _SHARE,
        "adjusted_p_groups": _SHARE,
        "adjusted_p_folds": _SHARE,
    },
    ["first", "second"],
)
"""``first`` less ``second``, with the 95 % interval over resamples of groups that both share, the
p-values of both tests, and the same after Holm's correction: over all pairs of models, and over all
comparisons with the control."""

CONTROL_FACTS = _schema("control_facts", {"fact": _TEXT, "value": _VALUE, **_BOUNDS}, ["fact"])
"""The ROC AUC of the control on all facts of containers, in the first row, and on each alone."""

PERMUTATIONS = _schema(
    "permutations",
    {
        "model": _TEXT,
        "way": _WAYS,
        "permutations": _COUNT,
        "value": _VALUE,
        "mean": _VALUE,
        **_BOUNDS,
        "p": _SHARE,
    },
    ["model"],
)
"""Per model: its ROC AUC, that with labels that mean nothing, and how often they reach it.
``refit``: it was fitted anew, training labels permuted; ``labels``: those it is judged by were."""


SAID_OF_OTHERS = _schema(
    "predictions",
    {"video_id": _TEXT, "probabilities": pa.Column(pl.List(pl.Float64))},
    ["video_id"],
)
"""What the model of one fold says of each video of another set."""

OTHER_VIDEOS = _schema(
    "videos",
    {
        "video_id": _TEXT,
        "path": _TEXT,
        "group": _TEXT,
        "target": pa.Column(pl.Int32, pa.Check.ge(0)),
        "shared": pa.Column(pl.String, pa.Check.isin(["content", "look", "group"]), nullable=True),
        "with": pa.Column(pl.String, nullable=True),
        "distance": pa.Column(pl.Int32, nullable=True),
    },
    ["video_id"],
)
"""One row per distinct video of another set; ``shared``: what it has in common with the study's
video ``with``, ``distance`` bits apart, or that another video of its group has."""

EVALUATE_ON = _schema(
    "evaluate_on",
    {
        "other": _TEXT,
        "model": _TEXT,
        "way": pa.Column(pl.String, pa.Check.isin(["each", "together"])),
        "metric": _TEXT,
        "videos": _COUNT,
        "groups": _COUNT,
        "value": _VALUE,
        **_BOUNDS,
        "out_of_fold": _VALUE,
        "drop": _VALUE,
        "drop_low": _VALUE,
        "drop_high": _VALUE,
        "remark": _TEXT,
    },
    ["other", "model", "way", "metric"],
)
"""Per other set, model and metric: ``each`` is the mean over the folds' models of what each reaches
by itself, ``together`` is of their averaged probabilities. ``drop`` is how much worse that is than
``out_of_fold``, below 0 where it is better; ``remark`` says why something is missing."""

OTHERS_SAID = _schema(
    "evaluate_on_predictions",
    {
        "other": _TEXT,
        "model": _TEXT,
        "fold": pa.Column(pl.Int32, pa.Check.ge(1), nullable=True),
        "video_id": _TEXT,
        "path": _TEXT,
        "group": _TEXT,
        "target": pa.Column(pl.Int32, pa.Check.ge(0)),
        "predicted": pa.Column(pl.Int32, pa.Check.ge(0)),
        "probabilities": pa.Column(pl.List(pl.Float64)),
    },
    ["other", "model", "fold", "video_id"],
)
"""What each fold's model says of each video judged of another set; without a fold, the mean."""

OTHERS_REJECTED = _schema(
    "evaluate_on_rejected",
    {
        "other": _TEXT,
        "path": _TEXT,
        "row": pa.Column(pl.Int64, pa.Check.ge(1)),
        "stage": _TEXT,
        "reason": _TEXT,
        "detail": _TEXT,
        "kept": pa.Column(pl.Boolean),
    },
    ["other", "row"],
)
"""One row per row of another set's table that could not be used or that the study has, too; the
latter are ``kept`` where it was asked for."""


def frame_of(rows: list[dict[str, Any]], schema: pa.DataFrameSchema) -> pl.DataFrame:
    """``rows`` with the columns and types of ``schema``."""
    types = {name: column.dtype.type for name, column in schema.columns.items()}
    return pl.DataFrame(rows, schema=types)

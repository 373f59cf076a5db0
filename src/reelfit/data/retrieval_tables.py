"""The schemas of what retrieval and captions are judged by; rules as in ``data/tables.py``."""

import pandera.polars as pa
import polars as pl

_TEXT = pa.Column(pl.String)
_FOLD = pa.Column(pl.Int32, pa.Check.ge(1))
_VALUE = pa.Column(pl.Float64, nullable=True)
_DIRECTION = pa.Column(pl.String, pa.Check.isin(["video_to_text", "text_to_video", "both"]))

RETRIEVAL_FOLDS = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "direction": _DIRECTION,
        "metric": _TEXT,
        "value": _VALUE,
        "low": _VALUE,
        "high": _VALUE,
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "direction", "metric"],
    name="retrieval_folds",
)
"""One row per model, fold, direction and metric, over the items that the fold validates and their
texts, with a 95 % bootstrap interval over groups, null of fewer than five; what has no direction
stands under ``both``."""

RETRIEVAL_SUMMARY = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "direction": _DIRECTION,
        "metric": _TEXT,
        "value": _VALUE,
        "low": _VALUE,
        "high": _VALUE,
        "mean": _VALUE,
        "standard_deviation": _VALUE,
        "chance": _VALUE,
    },
    strict=True,
    ordered=True,
    unique=["model", "direction", "metric"],
    name="retrieval_summary",
)
"""Per model, direction and metric: the value over the queries of all folds, each among the answers
of its own fold, with its interval over groups; mean and standard deviation over folds; what a
random order would reach, null where that is not known."""

RETRIEVAL_QUERIES = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "direction": pa.Column(pl.String, pa.Check.isin(["video_to_text", "text_to_video"])),
        "query": _TEXT,
        "group": _TEXT,
        "rank": pa.Column(pl.Float64, pa.Check.ge(1)),
        "right": pa.Column(pl.Int32, pa.Check.ge(1)),
        "answers": pa.Column(pl.Int32, pa.Check.ge(1)),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "direction", "query"],
    name="retrieval_queries",
)
"""One row per query: an item or a text; the rank of its best-ranked right answer, how many answers
are right, and among how many."""

RETRIEVAL_TOP = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "direction": pa.Column(pl.String, pa.Check.isin(["video_to_text", "text_to_video"])),
        "query": _TEXT,
        "place": pa.Column(pl.Int32, pa.Check.ge(1)),
        "answer": _TEXT,
        "score": pa.Column(pl.Float64),
        "right": pa.Column(pl.Boolean),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "direction", "query", "place"],
    name="retrieval_top",
)
"""The highest-ranked answers of each query, with their cosine."""

CAPTIONS = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "item": _TEXT,
        "group": _TEXT,
        "generated": _TEXT,
        "references": pa.Column(pl.List(pl.String)),
        "metrics": pa.Column(
            pl.List(pl.Struct({"metric": pl.String, "value": pl.Float64})),
        ),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "item"],
    name="captions",
)
"""One row per validated item: what was generated, its texts, and every metric of this caption."""

CAPTION_SUMMARY = pa.DataFrameSchema(
    {"model": _TEXT, "metric": _TEXT, "value": _VALUE, "low": _VALUE, "high": _VALUE},
    strict=True,
    ordered=True,
    unique=["model", "metric"],
    name="caption_summary",
)
"""Per model and metric: the value over the captions of all folds, and its interval over groups."""

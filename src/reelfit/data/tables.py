"""The schema of every table that a stage writes, checked when it is written and when it is read."""

from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from reelfit.errors import TableError
from reelfit.files import write_whole

_ID = pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"))
_TARGET = pa.Column(pl.Int32, pa.Check.ge(0))
_FOLD = pa.Column(pl.Int32, pa.Check.ge(1))
_COPY = pa.Column(pl.Int32, pa.Check.ge(0))
_TEXT = pa.Column(pl.String)
_STRATEGY = pa.Column(pl.String, pa.Check.isin(["groups", "sequential"]))


def _positive(kind: Any, *, nullable: bool = False) -> pa.Column:
    return pa.Column(kind, pa.Check.gt(0), nullable=nullable)


INDEX = pa.DataFrameSchema(
    {
        "video_id": _ID,
        "path": pa.Column(pl.String, unique=True),
        "label": _TEXT,
        "group": _TEXT,
        "width": _positive(pl.Int32),
        "height": _positive(pl.Int32),
        "fps": _positive(pl.Float64, nullable=True),
        "frame_count": _positive(pl.Int64, nullable=True),
        "duration_seconds": _positive(pl.Float64, nullable=True),
        "codec": _TEXT,
        "pixel_format": pa.Column(pl.String, nullable=True),
        "bit_rate": _positive(pl.Int64, nullable=True),
        "rotation": pa.Column(pl.Int32, pa.Check.isin([0, 90, 180, 270])),
        "pixel_aspect": _positive(pl.Float64),
        "colour_matrix": _TEXT,
        "colour_tagged": pa.Column(pl.Boolean),
        "hdr": pa.Column(pl.Boolean),
        "strategy": _STRATEGY,
        "file_bytes": _positive(pl.Int64),
    },
    strict=True,
    ordered=True,
    name="index",
)
"""One row per usable row of the user's table, in its order; ``video_id`` is made of the content."""

REJECTED = pa.DataFrameSchema(
    {
        "path": _TEXT,
        "row": pa.Column(pl.Int64, pa.Check.ge(1)),
        "stage": _TEXT,
        "reason": _TEXT,
        "detail": _TEXT,
    },
    strict=True,
    ordered=True,
    name="rejected",
)
"""One row per video left out; ``row`` counts from 1 in the user's table, without its header."""

FOLDS = pa.DataFrameSchema(
    {
        "video_id": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), unique=True),
        "path": _TEXT,
        "label": _TEXT,
        "target": _TARGET,
        "group": _TEXT,
        "fold": pa.Column(pl.Int32, pa.Check.ge(0)),
    },
    strict=True,
    ordered=True,
    name="folds",
)
"""One row per distinct video; ``fold`` is the one in which the video is validated, from 1; 0 where
the user's table has it for training alone. ``target`` is the number of the class or of the item."""

TEXTS = pa.DataFrameSchema(
    {"item": _TEXT, "target": _TARGET, "text_id": _TARGET, "text": _TEXT},
    strict=True,
    ordered=True,
    unique=["item", "text"],
    name="texts",
)
"""One row per item and text that is right for it. ``target`` is the item's number, as in the table
of folds, ``text_id`` that of the exact text: both from 0 in the order of the user's table."""

DUPLICATES = pa.DataFrameSchema(
    {
        "kind": pa.Column(pl.String, pa.Check.isin(["content", "look"])),
        "distance": pa.Column(pl.Int32, pa.Check.in_range(0, 64)),
        "video_id": _ID,
        "path": _TEXT,
        "label": _TEXT,
        "group": _TEXT,
        "other_id": _ID,
        "other_path": _TEXT,
        "other_label": _TEXT,
        "other_group": _TEXT,
    },
    strict=True,
    ordered=True,
    unique=["path", "other_path"],
    name="duplicates",
)
"""One row per two rows of the index with the same content, or whose videos look alike; ``distance``
is in bits of 64, and the groups are those that the user gave."""

FINGERPRINTS = pa.DataFrameSchema(
    {
        "video_id": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), unique=True),
        "fingerprint": pa.Column(pl.List(pl.UInt64)),
    },
    strict=True,
    ordered=True,
    name="fingerprints",
)
"""What some frames of each video look like, in order; null for one too flat to tell."""

CLIPS = pa.DataFrameSchema(
    {
        "video_id": _ID,
        "copy": _COPY,
        "shard": _TEXT,
        "offset": pa.Column(pl.Int64, pa.Check.ge(0)),
        "bytes": _positive(pl.Int64),
        "crc32": pa.Column(pl.Int64, pa.Check.ge(0)),
        "frames": pa.Column(pl.List(pl.Int64)),
        "strategy": _STRATEGY,
        "augmentation": _TEXT,
    },
    strict=True,
    ordered=True,
    unique=["video_id", "copy"],
    name="clips",
)
"""One row per clip: where its pixels lie in which shard, with their checksum, the source frames it
shows, how they were decoded, and its augmentation as JSON (``{}`` for the original, copy 0)."""

PREDICTIONS = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "video_id": _ID,
        "group": _TEXT,
        "target": _TARGET,
        "predicted": _TARGET,
        "probabilities": pa.Column(pl.List(pl.Float64)),
    },
    strict=True,
    ordered=True,
    unique=["model", "video_id"],
    name="predictions",
)
"""Out-of-fold predictions: each video once per model, by the fold that never saw its group."""

KFOLD_RESULTS = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "num_train": pa.Column(pl.Int64, pa.Check.ge(0)),
        "num_validation": _positive(pl.Int64),
        "best_epoch": pa.Column(pl.Int32, pa.Check.ge(0)),
        "best_fold": pa.Column(pl.Boolean),
        "metric": _TEXT,
        "value": pa.Column(pl.Float64, nullable=True),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "metric"],
    name="kfold_results",
)
"""One row per model, fold and metric; null where a fold does not define the metric."""

SUMMARY = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "metric": _TEXT,
        "mean": pa.Column(pl.Float64, nullable=True),
        "standard_deviation": pa.Column(pl.Float64, nullable=True),
        "out_of_fold": pa.Column(pl.Float64, nullable=True),
        "low": pa.Column(pl.Float64, nullable=True),
        "high": pa.Column(pl.Float64, nullable=True),
        "best_fold": _FOLD,
    },
    strict=True,
    ordered=True,
    unique=["model", "metric"],
    name="summary",
)
"""Per model and metric: mean and standard deviation over folds, the value over all out-of-fold
predictions, and its 95 % bootstrap interval over groups."""


SEARCH = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "trial": pa.Column(pl.Int32, pa.Check.ge(0)),
        "values": _TEXT,
        "metric": _TEXT,
        "value": pa.Column(pl.Float64, nullable=True),
        "epochs": pa.Column(pl.Int32, pa.Check.ge(0)),
        "pruned": pa.Column(pl.Boolean),
        "chosen": pa.Column(pl.Boolean),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "trial"],
    name="search",
)
"""One row per trial of a search: ``values`` are its settings as JSON, ``value`` is the metric on
the held-out groups of the fold's own training videos, null where it was undefined."""

CUT_FEATURES = pa.DataFrameSchema(
    {
        "model": _TEXT,
        "fold": _FOLD,
        "feature": _TEXT,
        "reason": pa.Column(pl.String, pa.Check.isin(["constant", "collinear", "inflated"])),
        "beside": pa.Column(pl.String, nullable=True),
        "value": pa.Column(pl.Float64, nullable=True),
    },
    strict=True,
    ordered=True,
    unique=["model", "fold", "feature"],
    name="cut_features",
)
"""One row per feature that a model left out on a fold: ``collinear`` with the one ``beside`` it,
``value`` being their correlation, or ``inflated``, ``value`` being its variance inflation."""


def features_schema(names: list[str]) -> pa.DataFrameSchema:
    """The schema of ``features.parquet`` for these features: finite numbers, one row per video."""
    finite = pa.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), name="is_finite"
    )
    columns = {name: pa.Column(pl.Float64, finite) for name in names}
    return pa.DataFrameSchema(
        {
            "video_id": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{32}$"), unique=True),
            **columns,
        },
        strict=True,
        ordered=True,
        name="features",
    )


def check_table(frame: pl.DataFrame, schema: pa.DataFrameSchema, where: str) -> pl.DataFrame:
    """``frame`` as it is, if it keeps its schema.

    Raises:
        TableError: names the column, the row and the rule of the first break, and how many more.
    """
    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        first = cases.row(0, named=True)
        row = first["index"]
        whole = first["schema_context"] == "DataFrameSchema"  # then the case is the column's name
        place = f"column {first['failure_case'] if whole else first['column']}"
        place += f", row {row + 1}" if row is not None else ""
        more = f" (and {cases.height - 1} more)" if cases.height > 1 else ""
        raise TableError(
            f"{where}: {place}: breaks the rule {first['check']}: "
            f"found {first['failure_case']!r}{more}"
        ) from None


def write_table(frame: pl.DataFrame, path: Path, schema: pa.DataFrameSchema) -> None:
    """Checks ``frame`` and writes it whole, as Feather where ``path`` says so, else as Parquet.

    Raises:
        TableError: the frame breaks the schema; nothing is written.
    """
    check_table(frame, schema, path.name)
    if path.suffix == ".feather":
        write_whole(path, lambda beside: frame.write_ipc(beside, compression="zstd"))
    else:
        write_whole(path, lambda beside: frame.write_parquet(beside, compression="zstd"))


def read_table(path: Path, schema: pa.DataFrameSchema) -> pl.DataFrame:
    """The table in ``path``, checked.

    Raises:
        TableError: the table breaks the schema.
    """
    read = pl.read_ipc if path.suffix == ".feather" else pl.read_parquet
    return check_table(read(path), schema, str(path))

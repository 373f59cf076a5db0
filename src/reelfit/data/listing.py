"""The user's table of videos, or folder per class, as rows that the index can take."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from reelfit.errors import StudyError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet")
"""How the name of a table ends."""
_COLUMNS = ("row", "path", "label", "group", "file")
_ASKED = "asked for: "
"""Keeps the user's columns apart from ours, whatever they are called."""


@dataclass(frozen=True)
class Listing:
    """What the user gave: one row per video, and the rows that only repeat another.

    ``rows``: row (from 1), path (as given), file (where it stands), label, group.
    ``repeated``: row, path, reason. ``columns``: what other columns of the table were asked for, as
    text under their own names, a row for each of ``rows``; null where a cell is empty. ``others``:
    the sets that the trained models are judged on, by name; these ask for no class.
    """

    rows: pl.DataFrame
    repeated: pl.DataFrame
    classes: list[str]
    columns: pl.DataFrame = field(default_factory=pl.DataFrame)
    others: "dict[str, Listing]" = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """64 hex digits of what was asked for: paths as given, labels, groups, in order."""
        text = self.rows.select("path", "label", "group").write_csv()
        return hashlib.sha256(text.encode()).hexdigest()


def read_listing(
    *,
    table: Path | None,
    folder: Path | None,
    root: Path | None = None,
    path: str = "path",
    label: str = "label",
    group: str | None = None,
    classes: list[str] | None = None,
    columns: Sequence[str] = (),
) -> Listing:
    """The rows of a table, or of a folder with one folder per class.

    Raises:
        StudyError: no such table, column or class; a label that is missing; two labels for one
            path; fewer than two classes.
    """
    if table is not None:
        rows = _read_table(table, path=path, label=label, group=group, columns=columns)
        source, start = str(table), root or table.parent
    else:
        assert folder is not None
        if columns:
            raise StudyError(
                f"evaluate.subsets: videos.folder has no column {columns[0]}: give a table"
            )
        rows, source, start = _read_folder(folder), str(folder), folder
    first, repeated = _each_once(rows, source, start)
    asked = first.select(pl.col(f"{_ASKED}{name}").alias(name) for name in columns)
    return Listing(first.select(_COLUMNS), repeated, _classes(first, classes, source), asked)


def read_other_listing(
    *,
    table: Path | None,
    folder: Path | None,
    root: Path | None,
    path: str,
    label: str,
    group: str | None,
    classes: Sequence[str],
) -> Listing:
    """The rows of a set that models of these ``classes`` are judged on; it may lack some of them.

    Raises:
        StudyError: as ``read_listing``; a label is none of ``classes``, and its row is named.
    """
    if table is not None:
        rows = _read_table(table, path=path, label=label, group=group, setting="evaluate_on")
        source, start = str(table), root or table.parent
    else:
        assert folder is not None
        rows, source, start = _read_folder(folder, setting="evaluate_on"), str(folder), folder
    unknown = rows.filter(~pl.col("label").is_in(list(classes)))
    if not unknown.is_empty():
        wrong = unknown.row(0, named=True)
        raise StudyError(
            f"{source}: row {wrong['row']} ({wrong['path']}): the label {wrong['label']} is none "
            f"of the study's classes: {', '.join(classes)} ({unknown.height} such rows)"
        )
    first, repeated = _each_once(rows, source, start)
    return Listing(first.select(_COLUMNS), repeated, [])


def _each_once(rows: pl.DataFrame, source: str, start: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first row of each file, with the file, and the rows that only repeat another."""
    rows = rows.with_columns(
        file=pl.col("path").map_elements(lambda given: str(start / given), return_dtype=pl.String)
    )
    if rows.is_empty():
        raise StudyError(f"{source}: there is no video in it")
    _one_label_per_path(rows, source)
    first = rows.unique("file", keep="first", maintain_order=True)
    repeated = rows.join(first.select("row"), on="row", how="anti").select(
        "row", "path", reason=pl.lit("the same path stands in an earlier row")
    )
    return first, repeated


def _read_table(
    table: Path,
    *,
    path: str,
    label: str,
    group: str | None,
    columns: Sequence[str] = (),
    setting: str = "videos",
) -> pl.DataFrame:
    frame = _read_frame(table, setting)
    named = {"path": path, "label": label} | ({"group": group} if group else {})
    places = [*((f"{setting}.{name}", column) for name, column in named.items())]
    for place, column in [*places, *(("evaluate.subsets", name) for name in columns)]:
        if column not in frame.columns:
            near = get_close_matches(column, frame.columns, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(frame.columns)}"
            raise StudyError(f"{table}: {place}: there is no column {column}; {hint}")
    rows = frame.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"),
        *(pl.col(column).cast(pl.String).alias(name) for name, column in named.items()),
        *(
            pl.col(name).cast(pl.String).str.strip_chars().replace("", None).alias(_ASKED + name)
            for name in columns
        ),
    )
    for name, column in named.items():
        missing = rows.filter(pl.col(name).is_null() | (pl.col(name).str.strip_chars() == ""))
        if not missing.is_empty():
            raise StudyError(
                f"{table}: row {missing['row'][0]}: the column {column} is empty "
                f"({missing.height} such rows): fill it in or take the row out"
            )
    return rows if group else rows.with_columns(group=pl.col("path"))


def _read_frame(table: Path, setting: str) -> pl.DataFrame:
    if not table.is_file():
        raise StudyError(f"{setting}.table: there is no file {table}")
    suffix = table.suffix.lower()
    try:
        if suffix == ".parquet":
            frame = pl.read_parquet(table)
        elif suffix in SEPARATORS:
            frame = pl.read_csv(table, separator=SEPARATORS[suffix], infer_schema=False)
        else:
            raise StudyError(f"{table}: a table ends in .csv, .tsv or .parquet")
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise StudyError(f"{table}: cannot be read as {suffix[1:]}: {error}") from None
    return frame


def _read_folder(folder: Path, setting: str = "videos") -> pl.DataFrame:
    if not folder.is_dir():
        raise StudyError(f"{setting}.folder: there is no folder {folder}")
    classes = sorted(entry for entry in folder.glob("[!.]*") if entry.is_dir())
    found: list[tuple[str, str]] = []
    for entry in classes:
        inside = sorted(p for p in entry.rglob("*") if p.is_file() and not _hidden(p, folder))
        if not inside:
            raise StudyError(f"{folder}: the class {entry.name} is empty: its folder has no file")
        found += [(p.relative_to(folder).as_posix(), entry.name) for p in inside]
    paths = [path for path, _ in found]
    return pl.DataFrame(
        {
            "row": pl.Series(range(1, len(found) + 1), dtype=pl.Int64),
            "path": pl.Series(paths, dtype=pl.String),
            "label": pl.Series([label for _, label in found], dtype=pl.String),
            "group": pl.Series(paths, dtype=pl.String),
        }
    )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _one_label_per_path(rows: pl.DataFrame, source: str) -> None:
    several = (
        rows.group_by("file", maintain_order=True)
        .agg(pl.col("label").n_unique().alias("labels"), pl.col("row"), pl.col("path").first())
        .filter(pl.col("labels") > 1)
    )
    if not several.is_empty():
        path, where = several["path"][0], several["row"][0].to_list()
        raise StudyError(
            f"{source}: {path} has different labels in the rows {', '.join(map(str, where))} "
            f"({several.height} such videos): one video has one label"
        )


def _classes(rows: pl.DataFrame, asked: list[str] | None, source: str) -> list[str]:
    present = sorted(rows["label"].unique().to_list(), key=_natural)
    if asked is None:
        if len(present) < 2:
            raise StudyError(f"{source}: all videos are labelled {present[0]}: two classes needed")
        return present
    unknown = [name for name in present if name not in asked]
    empty = [name for name in asked if name not in present]
    if unknown:
        raise StudyError(f"{source}: the label {unknown[0]} is not one of videos.classes {asked}")
    if empty:
        raise StudyError(f"{source}: the class {empty[0]} of videos.classes has no video")
    return asked


def _natural(label: str) -> tuple[int, float, str]:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)  # "nan" sorts nowhere

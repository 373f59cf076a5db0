"""The user's tables, whatever separates their cells: the columns asked for, each as text."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from reelfit.errors import StudyError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet")
"""How the name of a table ends, unless its separator is given."""
ASKED = "asked for: "
"""Keeps the user's columns apart from ours, whatever they are called."""
_NEVER_SEPARATES = frozenset('"\r\n')
_STAND_INS = [chr(code) for code in range(1, 32) if chr(code) not in "\t\r\n"]
"""Characters that no text has, one of which stands for a separator of several bytes."""


def check_separator(separator: str | None) -> None:
    """Looks whether cells can be told apart by it.

    Raises:
        ValueError: it is empty, or has a quote or the end of a line in it.
    """
    if separator is not None and (not separator or _NEVER_SEPARATES & set(separator)):
        raise ValueError("separator: one character or several, no quote and no end of a line")


def read_columns(
    table: Path,
    named: dict[str, str],
    *,
    separator: str | None = None,
    columns: Sequence[str] = (),
    setting: str = "videos",
) -> pl.DataFrame:
    """``row`` from 1, the columns ``named`` (ours: the table's), and those of ``columns``.

    All are text. No cell of ``named`` is empty; those of ``columns``, which begin with ``ASKED``,
    are null where they are.

    Raises:
        StudyError: the table cannot be read, lacks a column, or has an empty cell; names its row.
    """
    frame = _read_frame(table, setting, separator)
    places = [(_place(name, setting), column) for name, column in named.items()]
    for place, column in [*places, *(("evaluate.subsets", name) for name in columns)]:
        if column not in frame.columns:
            near = get_close_matches(column, frame.columns, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(frame.columns)}"
            raise StudyError(f"{table}: {place}: there is no column {column}; {hint}")
    rows = frame.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"),
        *(pl.col(column).cast(pl.String).alias(name) for name, column in named.items()),
        *(
            pl.col(name).cast(pl.String).str.strip_chars().replace("", None).alias(ASKED + name)
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
    return rows


def _place(name: str, setting: str) -> str:
    return "folds.column" if name == "split" else f"{setting}.{name}"


def _read_frame(table: Path, setting: str, separator: str | None) -> pl.DataFrame:
    if not table.is_file():
        raise StudyError(f"{setting}.table: there is no file {table}")
    suffix = table.suffix.lower()
    try:
        if suffix == ".parquet":
            return pl.read_parquet(table)
        if separator is None and suffix not in SEPARATORS:
            raise StudyError(
                f"{table}: a table ends in .csv, .tsv or .parquet, or has its {setting}.separator"
            )
        return _read_cells(table, separator or SEPARATORS[suffix])
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        kind = suffix[1:] if separator is None else f"a table separated by {separator}"
        raise StudyError(f"{table}: cannot be read as {kind}: {error}") from None


def _read_cells(table: Path, separator: str) -> pl.DataFrame:
    """Polars' separator is one byte: for another one stands a character that the text lacks.

    Memory: for a separator of several bytes, four times the table.
    """
    if len(separator.encode()) == 1:
        return pl.read_csv(table, separator=separator, infer_schema=False)
    text = table.read_text(encoding="utf-8-sig")
    free = next((character for character in _STAND_INS if character not in text), None)
    if free is None:
        raise StudyError(f"{table}: has every control character; no table of text needs that")
    frame = pl.read_csv(text.replace(separator, free).encode(), separator=free, infer_schema=False)
    inside = pl.all().str.replace_all(free, separator, literal=True)  # of a cell in quotes
    return frame.select(inside).rename(lambda name: name.replace(free, separator))

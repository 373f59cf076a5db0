"""The user's table of videos, or folder per class, as rows that the index can take."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from reelfit.data.explicit_split import NOT_JUDGED, require_untorn, with_folds
from reelfit.data.table_reading import ASKED, read_columns
from reelfit.errors import StudyError

_COLUMNS = ("row", "path", "label", "group", "file")


@dataclass(frozen=True)
class Listing:
    """What the user gave: one row per video, and the rows that are left out.

    ``rows``: row (from 1), path (as given), file (where it stands), label (the class, or the item
    that the video belongs to), group. ``repeated``: row, path, reason. ``columns``: what other
    columns of the table were asked for, as text under their own names, a row for each of ``rows``;
    null where a cell is empty. ``others``: the sets that the trained models are judged on, by name;
    these ask for no class. ``texts``: item, text, each pair once in the order of the table.
    ``folds``: path, split, fold, where the table says itself on which side a video stands; fold 0
    is never judged.
    """

    rows: pl.DataFrame
    repeated: pl.DataFrame
    classes: list[str]
    columns: pl.DataFrame = field(default_factory=pl.DataFrame)
    others: "dict[str, Listing]" = field(default_factory=dict)
    texts: pl.DataFrame = field(default_factory=pl.DataFrame)
    folds: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def digest(self) -> str:
        """64 hex digits of what was asked for: paths as given, labels, groups, in order.

        Also texts and splits, where there are some.
        """
        asked = hashlib.sha256(self.rows.select("path", "label", "group").write_csv().encode())
        for frame in (self.texts, self.folds):
            if frame.width:
                asked.update(frame.write_csv().encode())
        return asked.hexdigest()

    @property
    def most_videos(self) -> int:
        """The most videos that one item has; 1 where videos have classes."""
        if self.classes:
            return 1
        return int(self.rows.group_by("label").len()["len"].max() or 1)  # type: ignore[arg-type]

    def judged_folds(self, count: int | None) -> list[int]:
        """The numbers of the folds that are judged: those of the table, else ``count`` of them."""
        if self.folds.width:
            return sorted(fold for fold in self.folds["fold"].unique() if fold)
        assert count is not None  # settings ask for one of the two
        return list(range(1, count + 1))


def read_listing(  # noqa: PLR0913  by name alone, as the study has them
    *,
    table: Path | None,
    folder: Path | None,
    root: Path | None = None,
    path: str = "path",
    label: str = "label",
    group: str | None = None,
    classes: list[str] | None = None,
    columns: Sequence[str] = (),
    separator: str | None = None,
    split: str | None = None,
) -> Listing:
    """The rows of a table, or of a folder with one folder per class.

    ``split`` is the column that says on which side each video stands, see ``with_folds``.

    Raises:
        StudyError: no such table, column or class; a label that is missing; two labels for one
            path; fewer than two classes; a split that is no split, or has a group on both sides.
    """
    if table is not None:
        named = {"path": path, "label": label}
        named |= {"group": group} if group else {}
        named |= {"split": split} if split else {}
        rows = read_columns(table, named, separator=separator, columns=columns)
        rows = rows if group else rows.with_columns(group=pl.col("path"))
        source, start = str(table), root or table.parent
    else:
        assert folder is not None
        for setting, asked in (("evaluate.subsets", [*columns]), ("folds.column", [split])):
            if any(asked):
                raise StudyError(f"{setting}: videos.folder has no column {asked[0]}: give a table")
        rows, source, start = _read_folder(folder), str(folder), folder
    rows, left_out = _on_sides(_with_files(rows, source, start), source, split)
    first, repeated = _each_once(rows, source)
    return Listing(
        first.select(_COLUMNS),
        _rejected(repeated, left_out),
        _classes(first, classes, source),
        first.select(pl.col(f"{ASKED}{name}").alias(name) for name in columns),
        folds=first.select("path", "split", "fold") if split else pl.DataFrame(),
    )


def read_text_listing(  # noqa: PLR0913  by name alone, as the study has them
    *,
    table: Path,
    root: Path | None = None,
    path: str = "path",
    text: str = "text",
    item: str | None = None,
    group: str | None = None,
    columns: Sequence[str] = (),
    separator: str | None = None,
    split: str | None = None,
) -> Listing:
    """The rows of a table of videos with texts; a video, or an item, may stand in several.

    An item is all rows of one value in the column ``item``, its texts all right for it; without
    that column each video is one, called by its path. Labels are the items. Without ``group`` each
    item is a group. A row that repeats both a path and its text is left out with that reason.

    Raises:
        StudyError: no such table or column; an empty cell; a video in two items, an item in two
            groups; a split that is no split, or has an item or a group on both sides.
    """
    named = {"path": path, "text": text}
    for ours, column in (("label", item), ("group", group), ("split", split)):
        named |= {ours: column} if column else {}
    rows, source = read_columns(table, named, separator=separator, columns=columns), str(table)
    rows = rows if item else rows.with_columns(label=pl.col("path"))
    rows = rows if group else rows.with_columns(group=pl.col("label"))
    rows = _with_files(rows, source, root or table.parent)
    _one_per(rows, source, of="file", what="label", rule="one video belongs to one item")
    _one_per(rows, source, of="label", what="group", rule="one item belongs to one group")
    rows, left_out = _on_sides(rows, source, split)
    different = rows.unique(["file", "text"], keep="first", maintain_order=True)
    repeated = rows.join(different.select("row"), on="row", how="anti").with_columns(
        reason=pl.lit("the same path and text stand in an earlier row")
    )
    first = different.unique("file", keep="first", maintain_order=True)
    texts = different.select(pl.col("label").alias("item"), "text")
    return Listing(
        first.select(_COLUMNS),
        _rejected(repeated, left_out),
        [],
        first.select(pl.col(f"{ASKED}{name}").alias(name) for name in columns),
        texts=texts.unique(maintain_order=True, keep="first"),
        folds=first.select("path", "split", "fold") if split else pl.DataFrame(),
    )


def read_other_listing(
    *,
    table: Path | None,
    folder: Path | None,
    root: Path | None,
    path: str,
    label: str,
    group: str | None,
    classes: Sequence[str],
    separator: str | None = None,
) -> Listing:
    """The rows of a set that models of these ``classes`` are judged on; it may lack some of them.

    Raises:
        StudyError: as ``read_listing``; a label is none of ``classes``, and its row is named.
    """
    if table is not None:
        named = {"path": path, "label": label} | ({"group": group} if group else {})
        rows = read_columns(table, named, separator=separator, setting="evaluate_on")
        rows = rows if group else rows.with_columns(group=pl.col("path"))
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
    first, repeated = _each_once(_with_files(rows, source, start), source)
    return Listing(first.select(_COLUMNS), _rejected(repeated), [])


def _with_files(rows: pl.DataFrame, source: str, start: Path) -> pl.DataFrame:
    """``rows`` with the file of each: where its path leads from ``start``."""
    if rows.is_empty():
        raise StudyError(f"{source}: there is no video in it")
    files = pl.col("path").map_elements(lambda given: str(start / given), return_dtype=pl.String)
    return rows.with_columns(file=files)


def _on_sides(
    rows: pl.DataFrame, source: str, split: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``rows`` with split and fold where the table says them, and those that are left out."""
    if split is None:
        return rows, rows.head(0)
    rows = with_folds(rows, source)
    require_untorn(rows, source, by="file", what="videos")
    kept, left_out = (
        rows.filter(pl.col("fold").is_not_null()),
        rows.filter(pl.col("fold").is_null()),
    )
    require_untorn(kept, source, by="group", what="groups")
    return kept, left_out.with_columns(reason=pl.lit(NOT_JUDGED))


def _each_once(rows: pl.DataFrame, source: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first row of each file, and the rows that only repeat another, with that reason."""
    _one_per(rows, source, of="file", what="label", rule="one video has one label")
    first = rows.unique("file", keep="first", maintain_order=True)
    repeated = rows.join(first.select("row"), on="row", how="anti")
    reason = pl.lit("the same path stands in an earlier row")
    return first, repeated.with_columns(reason=reason)


def _rejected(*parts: pl.DataFrame) -> pl.DataFrame:
    """Row, path and reason of the rows that are left out, in the order of the table."""
    named = [part.select("row", "path", "reason") for part in parts if not part.is_empty()]
    schema = {"row": pl.Int64, "path": pl.String, "reason": pl.String}
    return pl.concat([pl.DataFrame(schema=schema), *named]).sort("row")


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


def _one_per(rows: pl.DataFrame, source: str, *, of: str, what: str, rule: str) -> None:
    """Looks whether all rows of one value of the column ``of`` have one value of ``what``."""
    named = pl.col("path" if of == "file" else of).first().alias("named")
    several = (
        rows.group_by(pl.col(of).alias("one"), maintain_order=True)
        .agg(pl.col(what).n_unique().alias("values"), named, "row")
        .filter(pl.col("values") > 1)
    )
    if not several.is_empty():
        name, where = several["named"][0], several["row"][0].to_list()
        kind = "item" if rule.endswith("item") else what
        raise StudyError(
            f"{source}: {name} has different {kind}s in the rows {', '.join(map(str, where))} "
            f"({several.height} such {'videos' if of == 'file' else 'items'}): {rule}"
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

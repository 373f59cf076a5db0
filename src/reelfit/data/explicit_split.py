"""Folds that a column of the user's table spells out: words for the sides, or whole numbers."""

from collections.abc import Sequence

import polars as pl

from reelfit.errors import StudyError

WORDS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
WORDS |= {"test": "test"}
"""The words that may stand in the column, in any case, and what each means."""
TRAINED_ON = 0
"""The fold of rows that are never judged."""
MOST_FOLDS = 100
NOT_JUDGED = "its split is validation, and test is what is judged"
"""Why a row is left out: to train on it, or to choose by it, would be another study."""
_NAMED = 5


def with_folds(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """``rows`` with their ``fold`` by the text in ``split``; null for those that are left out.

    Of words, ``test`` is judged (fold 1) and ``train`` is never (fold 0). Rows of ``validation``
    are judged where there is no ``test``; else they are left out: they are neither trained on nor
    judged, as a protocol with three sides has it. Whole numbers in their order are the folds from 1
    on, each judged by models of all the others.

    Raises:
        StudyError: a row has neither a known word nor a number, or not what the others have; there
            are no two sides.
    """
    said = rows.with_columns(pl.col("split").str.strip_chars().str.to_lowercase())
    words = said["split"].is_in(list(WORDS))
    numbers = said["split"].str.contains(r"^[0-9]{1,9}(\.0+)?$")
    _require_one_kind(rows, words, numbers, source)
    if numbers[0]:
        return _by_numbers(said, source)
    sides = said.with_columns(pl.col("split").replace(WORDS))
    judged = "test" if "test" in set(sides["split"]) else "validation"
    for side in ("train", judged):
        if side not in set(sides["split"]):
            raise StudyError(
                f"{source}: folds.column: no row says {side}: models need videos to learn from "
                "(train) and others to be judged by (test, or validation)",
                place=("folds", "column"),
            )
    folds = {judged: 1, "train": TRAINED_ON}
    fold = pl.col("split").replace_strict(folds, default=None, return_dtype=pl.Int32)
    return sides.with_columns(fold=fold)


def _require_one_kind(
    rows: pl.DataFrame, words: pl.Series, numbers: pl.Series, source: str
) -> None:
    kind = numbers if numbers[0] else words
    odd = rows.filter(~kind)
    if odd.is_empty():
        return
    first = odd.row(0, named=True)
    known = "whole numbers" if numbers[0] else "train, validation (val, valid) or test"
    if not (words[0] or numbers[0]):
        known += ", or whole numbers as folds"
    raise StudyError(
        f"{source}: row {first['row']} ({first['path']}): folds.column: {first['split']} is no "
        f"split ({odd.height} such rows): write {known}",
        place=("folds", "column"),
    )


def _by_numbers(said: pl.DataFrame, source: str) -> pl.DataFrame:
    numbers = said["split"].cast(pl.Float64).cast(pl.Int64)
    count = numbers.n_unique()
    if not 2 <= count <= MOST_FOLDS:
        raise StudyError(
            f"{source}: folds.column: {count} different numbers: 2 folds at least, and at most "
            f"{MOST_FOLDS}",
            place=("folds", "column"),
        )
    return said.with_columns(
        split=numbers.cast(pl.String), fold=numbers.rank("dense").cast(pl.Int32)
    )


def require_untorn(rows: pl.DataFrame, source: str, *, by: str, what: str) -> None:
    """Looks whether rows of one value of the column ``by`` are all of one ``fold``.

    Raises:
        StudyError: some are on both sides; names them, with their rows.
    """
    torn = (
        rows.group_by(by, maintain_order=True)
        .agg("row", "split", pl.col("fold").n_unique().alias("folds"))
        .filter(pl.col("folds") > 1)
    )
    if torn.is_empty():
        return
    named = "; ".join(
        f"{row[by]} (row {row['row'][0]}: {row['split'][0]}, row {other}: {split})"
        for row in torn.head(_NAMED).iter_rows(named=True)
        for other, split in [_first_other(row["row"], row["split"])]
    )
    more = f" and {torn.height - _NAMED} more" if torn.height > _NAMED else ""
    raise StudyError(
        f"{source}: folds.column: {torn.height} {what} stand on both sides: {named}{more}. Give "
        "the rows of each one side",
        place=("folds", "column"),
    )


def _first_other(rows: list[int], splits: list[str]) -> tuple[int, str]:
    return next(each for each in zip(rows, splits, strict=True) if each[1] != splits[0])


def require_sides(
    videos: pl.DataFrame, *, folds: Sequence[int], classes: Sequence[str], where: str
) -> None:
    """Looks whether of ``videos`` each fold has some, and its models each of ``classes`` to learn.

    Raises:
        StudyError: one has not, since videos were rejected or by the table itself.
    """
    for fold in folds:
        held = pl.col("fold") == fold
        sides = {"to be judged by": videos.filter(held), "to learn from": videos.filter(~held)}
        for what, side in sides.items():
            if side.is_empty():
                raise StudyError(
                    f"{where}: fold {fold} has no video left {what}: see rejected.parquet, and "
                    "give more rows that side",
                    place=("folds", "column"),
                )
        missing = [name for name in classes if name not in set(sides["to learn from"]["label"])]
        if missing:
            raise StudyError(
                f"{where}: fold {fold}: no video of the class {missing[0]} to learn from: all of "
                "them are judged there",
                place=("folds", "column"),
            )


def require_together(videos: pl.DataFrame, pairs: pl.DataFrame) -> None:
    """Looks whether the two videos of each of ``pairs`` (path, other_path) are on one side.

    ``videos`` has the path and the fold of each; a pair with a video that it lacks is let be.

    Raises:
        StudyError: some are not; names them.
    """
    fold_of = videos.select("path", "split", "fold")
    torn = (
        pairs.join(fold_of, on="path")
        .join(fold_of.rename({"path": "other_path"}), on="other_path", suffix="_of_other")
        .filter(pl.col("fold") != pl.col("fold_of_other"))
        .sort("path", "other_path")
    )
    if torn.is_empty():
        return
    named = "; ".join(
        f"{row['path']} ({row['split']}) and {row['other_path']} ({row['split_of_other']})"
        for row in torn.head(_NAMED).iter_rows(named=True)
    )
    more = f" and {torn.height - _NAMED} more" if torn.height > _NAMED else ""
    content, look = torn["kind"] == "content", torn["kind"] == "look"
    what = "have one content" if content.all() else "look alike" if look.all() else "are nearly one"
    mend = "" if content.any() else ", or, if they are no copies, folds.near_duplicates: null"
    raise StudyError(
        f"folds.column: {torn.height} pairs of videos that {what} stand on both sides: {named}"
        f"{more}. A model would be judged by what it has seen: give the rows of each one side"
        f"{mend}",
        place=("folds", "column"),
    )

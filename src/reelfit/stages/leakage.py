"""Whether anything stands on both sides of a fold; looked at anew wherever folds are used."""

import polars as pl

from reelfit.errors import RunError
from reelfit.runs import Run

_NAMED = 5
"""How many are named in the message."""


def require_no_leak(run: Run) -> None:
    """Looks through the run's tables, whoever wrote them.

    Raises:
        RunError: a group, a video's content or two videos that look alike are on both sides of a
            fold; names them.
    """
    folds = pl.read_parquet(run.file("folds.parquet"))
    index = pl.read_parquet(run.file("index.parquet"))
    duplicates = pl.read_parquet(run.file("duplicates.parquet"))
    known = index.select("path", "video_id", given="group").join(
        folds.select("video_id", "fold", "group"), on="video_id", how="inner"
    )
    for column, what in (
        ("video_id", "the same content"),
        ("given", "one group of the table"),
        ("group", "one group"),
    ):
        torn = known.group_by(column).agg(
            pl.col("path").unique().sort(), pl.col("fold").unique().sort()
        )
        torn = torn.filter(pl.col("fold").list.len() > 1).sort(column)
        if not torn.is_empty():
            named = [
                f"{', '.join(row['path'][:_NAMED])} (folds {row['fold']})"
                for row in torn.head(_NAMED).iter_rows(named=True)
            ]
            raise _leak(run, what, named, torn.height)
    fold_of = folds.select("video_id", "fold")
    pairs = duplicates.join(fold_of, on="video_id").join(
        fold_of.rename({"video_id": "other_id", "fold": "other_fold"}), on="other_id"
    )
    torn = pairs.filter(pl.col("fold") != pl.col("other_fold")).sort("path", "other_path")
    if not torn.is_empty():
        named = [
            f"{row['path']} (fold {row['fold']}) and {row['other_path']} (fold {row['other_fold']})"
            for row in torn.head(_NAMED).iter_rows(named=True)
        ]
        raise _leak(run, "nearly the same pictures", named, torn.height)


def require_apart(train: pl.DataFrame, validation: pl.DataFrame, *, fold: int) -> None:
    """Looks at the rows that a model is about to learn from and to be judged by.

    Raises:
        RunError: a video of one side, or its group, is on the other, too; names it.
    """
    for column in ("video_id", "group"):
        shared = validation.join(train, on=column, how="semi").sort("path")
        if not shared.is_empty():
            named = ", ".join(shared["path"].unique(maintain_order=True).head(_NAMED))
            raise RunError(
                f"fold {fold} would learn from what it is judged by: {named} "
                f"({'clips' if column == 'video_id' else 'groups'} on both sides): run with --fresh"
            )


def _leak(run: Run, what: str, named: list[str], count: int) -> RunError:
    more = f" (and {count - len(named)} more)" if count > len(named) else ""
    return RunError(
        f"{run.file('folds.parquet')}: videos with {what} stand on both sides of a fold: "
        f"{'; '.join(named)}{more}. No model may learn from such folds: run with --fresh, which "
        "makes them anew"
    )

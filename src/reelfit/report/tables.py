"""The tables of the report as rows of cells, for the page and for Markdown alike."""

from typing import Any, NamedTuple

import polars as pl

from reelfit.report.content import ReportContent, RunContent
from reelfit.report.wording import MISSING, duration, number

LONGEST_LIST = 500
"""Rows of a list that the page shows; the run folder has the rest."""


class Cell(NamedTuple):
    """One cell: its text, a smaller note below, and what marks it."""

    text: str
    note: str = ""
    strong: bool = False
    share: float | None = None
    """From 0 to 1: how deep the cell is tinted, or how long its bar is."""


class Table(NamedTuple):
    """A caption, the heads of the columns, and rows whose first cell is their head."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    num_words: int = 1
    """How many columns, from the first, hold words; the others hold numbers and align right."""
    kind: str = "plain"
    """``even`` has columns of one width, ``matrix`` tints a cell by its share, ``bars`` draws the
    share as a bar."""


def stages_table(content: RunContent) -> Table:
    """Each stage's time, its highest peak and that peak against the budget."""
    budgets = dict(content.memory.group_by("stage").agg(pl.col("budget_mb").max()).iter_rows())
    stages = content.stages.group_by("stage", maintain_order=True).agg(
        pl.len().alias("units"), pl.sum("seconds"), pl.max("host_peak_mb"), pl.sum("retries")
    )
    body = []
    for stage, units, seconds, peak_mb, retries in stages.iter_rows():
        budget_mb = budgets.get(stage)
        share = peak_mb / budget_mb if peak_mb is not None and budget_mb else None
        body.append(
            [
                Cell(stage),
                Cell(number(units, 0)),
                Cell(duration(seconds)),
                Cell(number(retries, 0)),
                Cell(number(peak_mb, 0)),
                Cell(number(budget_mb, 0)),
                _budget_cell(share),
            ]
        )
    columns = ["Stage", "Units", "Time", "Retries", "Peak, MiB", "Budget, MiB", "Of the budget"]
    caption = "Time of each stage, summed over its units, and the highest peak of its processes."
    return Table(caption, columns, body, kind="bars")


def plans_table(content: RunContent) -> Table:
    """Each network's predicted peak beside the measured one."""
    body = [
        [
            Cell(row["model"]),
            Cell(row["technique"]),
            Cell(number(row["micro_batch"], 0)),
            Cell(number(row["accumulation"], 0)),
            Cell(number(row["predicted_mb"], 0)),
            Cell(number(row["measured_mb"], 0)),
            Cell(_difference(row["predicted_mb"], row["measured_mb"])),
        ]
        for row in content.plans.to_dicts()
    ]
    columns = ["Model", "Rung", "Samples per pass", "Passes per step", "Predicted, MiB"]
    columns += ["Measured, MiB", "Difference"]
    caption = "The peak that was planned for each network, beside the highest of its processes."
    return Table(caption, columns, body, 2)


def _difference(predicted_mb: float, measured_mb: float | None) -> str:
    if not measured_mb:
        return MISSING
    return f"{100 * (predicted_mb / measured_mb - 1):+.1f} %"


def units_table(content: RunContent) -> Table:
    """Each unit's time and peak."""
    body = [
        [
            Cell(row["stage"]),
            Cell(row["unit"]),
            Cell(duration(row["seconds"])),
            Cell(number(row["host_peak_mb"], 0)),
            Cell(number(row["retries"], 0)),
        ]
        for row in content.stages.to_dicts()
    ]
    columns = ["Stage", "Unit", "Time", "Peak, MiB", "Retries"]
    return Table("Each unit: one process of its own.", columns, body[:LONGEST_LIST], 2)


def reasons_table(content: RunContent) -> Table:
    """How many videos were left out, by stage and reason."""
    counts = (
        content.rejected.group_by("reason", "stage")
        .len("rows")
        .sort("rows", "reason", "stage", descending=[True, False, False])
    )
    body = [
        [Cell(reason), Cell(stage), Cell(number(rows, 0))]
        for reason, stage, rows in counts.iter_rows()
    ]
    return Table("Rows left out, by reason.", ["Reason", "Stage", "Rows"], body, 2)


def rejected_table(content: RunContent) -> Table:
    """Each row that was left out, with what was wrong with it."""
    listed = content.rejected.sort("row", "path").head(LONGEST_LIST)
    body = [
        [Cell(row["path"]), Cell(row["reason"]), Cell(row["detail"]), Cell(number(row["row"], 0))]
        for row in listed.to_dicts()
    ]
    more = content.rejected.height - listed.height
    rest = f" The other {more:,} stand in rejected.parquet." if more else ""
    columns = ["Path", "Reason", "Detail", "Row"]
    return Table(f"Each row left out, in the order of the table.{rest}", columns, body, 3)


def folds_table(content: ReportContent) -> Table:
    """How many videos of each class, and how many groups, each fold validates."""
    folds = sorted(content.folds["fold"].unique().to_list())
    counts = {
        (target, fold): amount
        for target, fold, amount in content.folds.group_by("target", "fold").len().iter_rows()
    }
    body = []
    for target, label in enumerate(content.classes):
        amounts = [counts.get((target, fold), 0) for fold in folds]
        body.append(_counts_row(label, amounts, sum(amounts)))
    for name, column in (("All videos", "video_id"), ("All groups", "group")):
        body.append(different_row(name, content.folds, column))
    columns = ["Class", *map(fold_head, folds), "Total"]
    return Table("Videos that each fold validates; a group is never split.", columns, body)


def environment_tables(environment: dict[str, Any]) -> list[Table]:
    """The single values of the environment first, then one table for each longer part."""
    single: list[list[Cell]] = []
    parts: list[Table] = []
    for key, value in environment.items():
        if isinstance(value, dict):
            rows = [[Cell(str(name)), Cell(str(entry))] for name, entry in value.items()]
            parts.append(Table(str(key), ["Name", "Value"], rows, 2))
        elif isinstance(value, list | tuple):
            rows = [[Cell(str(place + 1)), Cell(str(entry))] for place, entry in enumerate(value)]
            parts.append(Table(str(key), ["Number", "Value"], rows, 2))
        else:
            single.append([Cell(str(key)), Cell(MISSING if value is None else str(value))])
    main = [Table("Where it ran.", ["Name", "Value"], single, 2)] if single else []
    return main + parts


def _budget_cell(share: float | None) -> Cell:
    if share is None:
        return Cell(MISSING)
    note = "over the budget" if share > 1 else ""
    return Cell(f"{100 * share:.0f} %", note, share > 1, min(share, 1.0))


def fold_head(fold: int) -> str:
    """What stands above a fold; 0 has the videos that no fold validates."""
    return f"Fold {fold}" if fold else "Training only"


def different_row(head: str, folds: pl.DataFrame, column: str) -> list[Cell]:
    """How many different values of a column each fold validates, and how many there are."""
    by_fold = folds.group_by("fold").agg(pl.n_unique(column)).sort("fold")[column].to_list()
    return _counts_row(head, by_fold, folds[column].n_unique())


def _counts_row(head: str, amounts: list[int], total: int) -> list[Cell]:
    return [Cell(head), *(Cell(number(amount, 0)) for amount in [*amounts, total])]

"""What a search tried and chose, as tables."""

import json

import polars as pl

from reelfit.report.tables import Cell, Table
from reelfit.report.wording import count, number, title_of


def search_tables(search: pl.DataFrame) -> list[Table]:
    """What was chosen for each model on each fold, and every trial; none without a search."""
    if not search.height:
        return []
    metric = title_of(search["metric"][0])
    heads = ["Model", "Fold"]
    chosen = [
        [Cell(row["model"]), Cell(str(row["fold"])), Cell(_words(row)), Cell(number(row["value"]))]
        for row in search.filter(pl.col("chosen")).iter_rows(named=True)
    ]
    every = [
        [
            Cell(row["model"]),
            Cell(str(row["fold"])),
            Cell(_words(row), strong=row["chosen"]),
            Cell(f"{row['trial'] + 1}"),
            Cell(number(row["value"])),
            Cell("ended early" if row["pruned"] else number(row["epochs"], 0)),
        ]
        for row in search.iter_rows(named=True)
    ]
    how = f"{metric} on held-out groups of the fold's own training videos."
    return [
        Table(
            f"Chosen in a search of {count(search.height, 'trial')}, by {how}",
            [*heads, "Chosen", metric],
            chosen,
            num_words=3,
        ),
        Table(
            f"Every trial; the chosen in bold, by {how}",
            [*heads, "Tried", "Trial", metric, "Epochs"],
            every,
            num_words=3,
        ),
    ]


def _words(row: dict[str, object]) -> str:
    """``learning_rate 0.0012, channels 8/16``."""
    values = json.loads(str(row["values"]))
    return ", ".join(f"{name.partition('.')[2]} {_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    if isinstance(value, list):
        return "/".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""The tables of what was retrieved, and of what was written."""

import math
from itertools import pairwise
from typing import Final

import polars as pl

from reelfit.report.retrieval.content import RetrievalContent
from reelfit.report.retrieval.ranking import DIRECTIONS, FIRST, best_folds, ranked, rows_of
from reelfit.report.tables import Cell, Table, different_row, fold_head
from reelfit.report.wording import count, interval, number, title_of

SHOWN: Final = (FIRST, "recall@5", "recall@10", "median_rank", "mrr", "map", "ndcg@10")
"""The metrics of a direction; the run's files have the others."""
LOWER_IS_BETTER: Final = ("median_rank", "mean_rank")
BINS: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, math.inf)
"""Ranks above one of them and up to the next are counted together."""


def direction_tables(content: RetrievalContent) -> list[Table]:
    """For each direction each model's metrics, the best of each strong, and chance below them."""
    return [_direction_table(content, direction) for direction in DIRECTIONS]


def _direction_table(content: RetrievalContent, direction: str) -> Table:
    rows, models, metrics = rows_of(content), ranked(content), _metrics(content.summary)
    best = {name: _best(content.summary, direction, name) for name in metrics}
    body = []
    for model in models:
        cells = [Cell(model)]
        for metric in metrics:
            row = rows.get((model, direction, metric), {})
            value = row.get("value")
            strong = len(models) > 1 and value is not None and value == best[metric]
            bounds = interval(row.get("low"), row.get("high")) if metric == FIRST else ""
            cells.append(Cell(_written(metric, value), bounds, strong))
        body.append(cells)
    chances = [rows.get((models[0], direction, name), {}).get("chance") for name in metrics]
    if any(chance is not None for chance in chances):
        drawn = [Cell(_written(n, c)) for n, c in zip(metrics, chances, strict=True)]
        body.append([Cell("a random order"), *drawn])
    where = DIRECTIONS[direction]
    caption = (
        f"{where.capitalize()}, over the queries of all folds, each among the answers of its own "
        "fold; R@1 with its 95 % interval over groups, and of the median rank the lowest is best"
    )
    caption += "; the best in bold." if len(models) > 1 else "."
    return Table(caption, ["Model", *map(title_of, metrics)], body)


def _written(metric: str, value: float | None) -> str:
    return number(value, 1 if metric in LOWER_IS_BETTER else 3)


def _metrics(table: pl.DataFrame) -> list[str]:
    names = set(table["metric"])
    return [name for name in SHOWN if name in names]


def _best(summary: pl.DataFrame, direction: str, metric: str) -> float | None:
    of_direction = summary.filter(pl.col("direction") == direction)
    return _most(of_direction, metric, lowest=metric in LOWER_IS_BETTER)


def spread_of_folds(content: RetrievalContent) -> Table:
    """Mean and standard deviation of each metric over the folds."""
    rows, metrics = rows_of(content), _metrics(content.summary)
    body = []
    for model in ranked(content):
        for direction, words in DIRECTIONS.items():
            cells = [Cell(model), Cell(words)]
            for metric in metrics:
                row = rows.get((model, direction, metric), {})
                spread = row.get("standard_deviation")
                note = "" if spread is None else f"± {_written(metric, spread)}"
                cells.append(Cell(_written(metric, row.get("mean")), note))
            body.append(cells)
    caption = "Mean over the folds, with its standard deviation."
    return Table(caption, ["Model", "Direction", *map(title_of, metrics)], body, 2)


def embeddings_table(content: RetrievalContent) -> Table:
    """What is known of the embeddings of both sides, as alignment and uniformity."""
    both = content.summary.filter(pl.col("direction") == "both")
    metrics = both["metric"].unique(maintain_order=True).to_list()
    rows = rows_of(content)
    body = [
        [
            Cell(model),
            *(Cell(number(rows.get((model, "both", m), {}).get("value"))) for m in metrics),
        ]
        for model in ranked(content)
    ]
    caption = "Of the embeddings of videos and texts together."
    return Table(caption, ["Model", *map(title_of, metrics)], body if metrics else [])


def each_fold_table(content: RetrievalContent) -> Table:
    """Each fold of each model in each direction; R@1 with its interval."""
    metrics, best = _metrics(content.results), best_folds(content)
    parts = content.results.partition_by("model", "fold", "direction", as_dict=True)
    body = []
    for model in ranked(content):
        for fold in sorted(set(content.results.filter(pl.col("model") == model)["fold"])):
            for direction, words in DIRECTIONS.items():
                part = parts.get((model, fold, direction))
                rows = {row["metric"]: row for row in part.to_dicts()} if part is not None else {}
                cells = [Cell(model), Cell(words)]
                cells.append(Cell(f"{fold}", "best" if best.get(model) == fold else ""))
                for metric in metrics:
                    row = rows.get(metric, {})
                    bounds = interval(row.get("low"), row.get("high")) if metric == FIRST else ""
                    cells.append(Cell(_written(metric, row.get("value")), bounds))
                body.append(cells)
    caption = "Each fold, over its own queries; the best fold is that of the highest R@1."
    columns = ["Model", "Direction", "Fold", *map(title_of, metrics)]
    return Table(caption, columns, body, 2)


def ranks_tables(content: RetrievalContent) -> list[Table]:
    """For each direction how many queries have their first right answer at which ranks."""
    tables = []
    for direction, words in DIRECTIONS.items():
        part = content.queries.filter(pl.col("direction") == direction)
        if not part.height:
            continue
        highest = float(part["rank"].max())  # type: ignore[arg-type]
        bins = [(low, high) for low, high in pairwise(BINS) if low < highest]
        body = []
        for model in ranked(content):
            ranks = part.filter(pl.col("model") == model)["rank"]
            if ranks.len():
                amounts = [int(((ranks > low) & (ranks <= high)).sum()) for low, high in bins]
                body.append([Cell(model), *(_share(amount, ranks.len()) for amount in amounts)])
        caption = (
            f"{words.capitalize()}: queries by the rank of their first right answer, which is "
            "the mean of the ranks where scores are equal."
        )
        columns = ["Model", *(_span(low, high) for low, high in bins)]
        tables.append(Table(caption, columns, body, kind="matrix"))
    return tables


def _share(amount: int, total: int) -> Cell:
    return Cell(number(amount, 0), f"{100 * amount / total:.0f} %", share=amount / total)


def _span(low: float, high: float) -> str:
    if high == math.inf:
        return f"above {low:g}"
    return f"{high:g}" if high - low == 1 else f"{low + 1:g} to {high:g}"


def captions_table(content: RetrievalContent) -> Table:
    """Each model's metrics of its captions, with their intervals; no rows without captions."""
    if content.caption_summary is None:
        return Table("No captions.", ["Model"], [])
    table = content.caption_summary
    metrics = table["metric"].unique(maintain_order=True).to_list()
    rows = {(row["model"], row["metric"]): row for row in table.to_dicts()}
    models = [model for model in ranked(content) if model in set(table["model"])]
    body = []
    for model in models:
        cells = [Cell(model)]
        for metric in metrics:
            row = rows.get((model, metric), {})
            strong = len(models) > 1 and row.get("value") == _most(table, metric) is not None
            bounds = interval(row.get("low"), row.get("high"))
            cells.append(Cell(number(row.get("value")), bounds, strong))
        body.append(cells)
    items = 0 if content.captions is None else content.captions["item"].n_unique()
    caption = (
        f"Of the captions of {count(items, 'item')}, each written by a model that never saw it, "
        "with the 95 % interval over groups"
    )
    caption += "; the best in bold." if len(models) > 1 else "."
    return Table(caption, ["Model", *map(title_of, metrics)], body, kind="many")


def _most(table: pl.DataFrame, metric: str, *, lowest: bool = False) -> float | None:
    found = table.filter(pl.col("metric") == metric)["value"].drop_nulls().drop_nans()
    values: list[float] = found.to_list()
    return (min if lowest else max)(values, default=None)


def items_table(content: RetrievalContent) -> Table:
    """How many items, videos and groups each fold validates."""
    folds = sorted(content.folds["fold"].unique().to_list())
    columns = {"Items": "label", "Videos": "video_id", "Groups": "group"}
    body = [different_row(head, content.folds, column) for head, column in columns.items()]
    caption = "What each fold validates; neither a group nor an item is split."
    return Table(caption, ["", *map(fold_head, folds), "Total"], body)

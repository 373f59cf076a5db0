"""The tables of metrics: a column for each model while there are few, else a row for each."""

from collections.abc import Callable

import polars as pl

from reelfit.report.content import ReportContent, ranked_models
from reelfit.report.tables import Cell, Table
from reelfit.report.wording import MISSING, interval, number, title_of

MOST_COLUMNS = 8
"""With more models than these, each has a row, and some metrics stand in the run's files alone."""
OF_MANY = (
    "roc_auc",
    "average_precision",
    "balanced_accuracy",
    "f1",
    "equal_error_rate",
    "brier_score",
    "expected_calibration_error",
)


def models_table(content: ReportContent) -> Table:
    """Each model's out-of-fold metrics with their intervals; the best of each metric strong."""
    summary = content.summary
    several = summary["model"].n_unique() > 1
    rows = {(row["model"], row["metric"]): row for row in summary.to_dicts()}
    best = {name: _best_value(summary, name) for name in _metrics(summary)} if several else {}

    def cell(model: str, metric: str) -> Cell:
        row = rows.get((model, metric), {})
        value = row.get("out_of_fold")
        strong = value is not None and value == best.get(metric)
        return Cell(number(value), interval(row.get("low"), row.get("high")), strong)

    strong = "; the best in bold" if several else ""
    caption = f"Over all out-of-fold predictions, with the 95 % interval{strong}."
    return _laid_out(content, summary, caption, cell, with_best_fold=True)


def groups_table(content: ReportContent) -> Table:
    """The same where the videos of one group and class are one item."""
    table = content.evaluation.group_summary
    rows = {(row["model"], row["metric"]): row for row in table.to_dicts()}

    def cell(model: str, metric: str) -> Cell:
        row = rows.get((model, metric), {})
        return Cell(number(row.get("value")), interval(row.get("low"), row.get("high")))

    items = table["items"].to_list()[0] if table.height else 0
    caption = (
        f"Over {items} groups, whose videos of one class are averaged, with the 95 % interval."
    )
    return _laid_out(content, table, caption, cell)


def spread_table(content: ReportContent) -> Table:
    """Mean and standard deviation of each metric over the folds."""
    rows = {(row["model"], row["metric"]): row for row in content.summary.to_dicts()}

    def cell(model: str, metric: str) -> Cell:
        row = rows.get((model, metric), {})
        spread = row.get("standard_deviation")
        return Cell(number(row.get("mean")), "" if spread is None else f"± {number(spread)}")

    caption = "Mean over the folds, with its standard deviation."
    return _laid_out(content, content.summary, caption, cell)


def _laid_out(
    content: ReportContent,
    table: pl.DataFrame,
    caption: str,
    cell: Callable[[str, str], Cell],
    *,
    with_best_fold: bool = False,
) -> Table:
    models, metrics = ranked_models(content), _metrics(table)
    if len(models) <= MOST_COLUMNS:
        body = [[_metric_head(name), *(cell(model, name) for model in models)] for name in metrics]
        if with_best_fold:
            body.append([Cell("Best fold"), *(Cell(_best_fold(content, m)) for m in models)])
        return Table(caption, ["Metric", *models], body, kind="even")
    shown = [name for name in metrics if name in OF_MANY]
    body = [[Cell(model), *(cell(model, name) for name in shown)] for model in models]
    low = [title_of(name) for name in shown if not _higher_is_better(name)]
    caption += f" Lower is better: {', '.join(low)}. The run's files have the other metrics."
    return Table(caption, ["Model", *map(title_of, shown)], body, kind="many")


def every_fold_table(content: ReportContent) -> Table:
    """Each fold of each model: its size, its best epoch and its metrics."""
    results = content.kfold_results
    metrics = _metrics(results)
    body = []
    for model in ranked_models(content):
        of_model = results.filter(pl.col("model") == model)
        for (fold,), part in of_model.sort("fold").group_by("fold", maintain_order=True):
            first = part.row(0, named=True)
            values = dict(part.select("metric", "value").iter_rows())
            sizes = [first["num_train"], first["num_validation"], first["best_epoch"]]
            body.append(
                [
                    Cell(model),
                    Cell(f"{fold}", "best" if first["best_fold"] else "", first["best_fold"]),
                    *(Cell(number(size, 0)) for size in sizes),
                    *(Cell(number(values.get(metric))) for metric in metrics),
                ]
            )
    columns = ["Model", "Fold", "Train", "Validation", "Best epoch", *map(title_of, metrics)]
    return Table("Each fold, scored on its own validation videos.", columns, body)


def _metrics(table: pl.DataFrame) -> list[str]:
    """The metrics in the table's order, ROC AUC first: the verdict speaks of it."""
    names = table["metric"].unique(maintain_order=True).to_list()
    return sorted(names, key=lambda name: name != "roc_auc")


def _metric_head(metric: str) -> Cell:
    return Cell(title_of(metric), "" if _higher_is_better(metric) else "lower is better")


def _higher_is_better(metric: str) -> bool:
    from reelfit.metrics import METRICS  # brings NumPy

    return metric not in METRICS or METRICS[metric].higher_is_better


def _best_value(summary: pl.DataFrame, metric: str) -> float | None:
    column = summary.filter(pl.col("metric") == metric)["out_of_fold"]
    values: list[float] = column.filter(column.is_not_nan()).to_list()
    if not values:
        return None
    return max(values) if _higher_is_better(metric) else min(values)


def _best_fold(content: ReportContent, model: str) -> str:
    rows = content.kfold_results.filter((pl.col("model") == model) & pl.col("best_fold"))
    return str(rows["fold"][0]) if rows.height else MISSING

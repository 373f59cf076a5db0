"""The tables of what models are worth: against each other, against controls, and where."""

from typing import Any

import polars as pl

from reelfit.report.content import ReportContent, ranked_models
from reelfit.report.tables import LONGEST_LIST, Cell, Table
from reelfit.report.wording import MISSING, interval, number, p_value, title_of

MOST_MODELS = 6
"""The best ones, in a table that has a column for each."""
LEVEL = 0.05
"""Below this an adjusted p-value is taken as shown."""


def shown_better(row: dict[str, Any]) -> bool:
    """Whether a row of ``comparison.parquet`` shows its first model to be the better one."""
    p = row["adjusted_p_groups"]
    return p is not None and p < LEVEL and row["difference"] > 0


def comparison_table(content: ReportContent) -> Table:
    """The best model less each other one."""
    pairs = content.evaluation.comparison.filter(pl.col("against") == "model")
    best = ranked_models(content)[0]
    rows = {row["second"]: row for row in pairs.filter(pl.col("first") == best).to_dicts()}
    body = [
        [Cell(model), *_difference(rows[model]), Cell("yes" if shown_better(rows[model]) else "no")]
        for model in ranked_models(content)
        if model in rows
    ]
    caption = (
        f"How much higher the ROC AUC of {best} is than that of each other model, with the paired "
        f"95 % interval over groups; p-values after Holm's correction for all {pairs.height} "
        "pairs, by resamples of groups and by the corrected t-test over folds. The run's "
        "comparison.parquet has every pair."
    )
    columns = ["Model", "Difference", "p, groups", "p, folds", "Shown to be worse"]
    return Table(caption, columns, body)


def control_tables(content: ReportContent) -> list[Table]:
    """The controls of this run: on container facts, and with permuted labels where asked for."""
    tables = [control_table(content), facts_table(content), permutations_table(content)]
    return [table for table in tables if table.rows]


def calibration_tables(content: ReportContent) -> list[Table]:
    """What temperatures and, of two classes, thresholds chosen on other folds do."""
    return [
        table for table in (calibration_table(content), thresholds_table(content)) if table.rows
    ]


def control_table(content: ReportContent) -> Table:
    """Each model less the control on container facts."""
    found = content.evaluation.comparison.filter(pl.col("against") == "control")
    rows = {row["first"]: row for row in found.to_dicts()}
    areas = content.summary.filter(pl.col("metric") == "roc_auc")
    lows = dict(areas.select("model", "low").iter_rows())
    control = control_row(content)
    body = []
    for model in ranked_models(content):
        if model in rows:
            low, high = lows.get(model), control.get("high")
            apart = low is not None and high is not None and low > high
            better = "yes" if shown_better(rows[model]) else "no"
            body.append(
                [
                    Cell(model),
                    *_difference(rows[model]),
                    Cell(better, strong=better == "yes"),
                    Cell("yes" if apart else "no", strong=apart),
                ]
            )
    caption = (
        "How much higher the ROC AUC of each model is than that of the control, a model on "
        "container facts alone over the same folds; p-values after Holm's correction."
    )
    columns = ["Model", "Difference", "p, groups", "p, folds", "Better", "Intervals apart"]
    return Table(caption, columns, body)


def control_row(content: ReportContent) -> dict[str, Any]:
    """The ROC AUC of the control and its interval; nothing where there is none."""
    facts = content.evaluation.control_facts
    return facts.row(0, named=True) if facts.height else {}


def facts_table(content: ReportContent) -> Table:
    """The ROC AUC of all container facts together, and of each alone."""
    body = [
        [Cell(row["fact"].replace("_", " ")), Cell(number(row["value"])), Cell(_bounds(row))]
        for row in content.evaluation.control_facts.to_dicts()
    ]
    caption = "ROC AUC of the control, by all container facts and by each of them alone."
    return Table(caption, ["Fact", "ROC AUC", "95 % interval"], body)


def permutations_table(content: ReportContent) -> Table:
    """Each model's ROC AUC beside that with permuted labels."""
    ways = {"refit": "fitted anew on permuted labels", "labels": "judged by permuted labels"}
    rows = {row["model"]: row for row in content.evaluation.permutations.to_dicts()}
    body = [
        [
            Cell(model),
            Cell(ways[rows[model]["way"]]),
            Cell(number(rows[model]["value"])),
            Cell(number(rows[model]["mean"]), _bounds(rows[model])),
            Cell(number(rows[model]["permutations"], 0)),
            Cell(p_value(rows[model]["p"])),
        ]
        for model in ranked_models(content)
        if model in rows
    ]
    caption = (
        "What each model reaches where labels mean nothing: permuted by group. A model on features "
        "is trained anew each time; a network is not, its predictions are judged by other labels."
    )
    columns = ["Model", "How", "ROC AUC", "Permuted", "Permutations", "p"]
    return Table(caption, columns, body, 2)


def subset_tables(content: ReportContent) -> list[Table]:
    """For each column the ROC AUC of each of its values, of the best models."""
    subsets = content.evaluation.subsets.filter(pl.col("metric") == "roc_auc")
    models = [model for model in ranked_models(content) if model in subsets["model"]]
    shown = models[:MOST_MODELS]
    tables = []
    for (column,), part in subsets.group_by("column", maintain_order=True):
        rows = {(row["subset"], row["model"]): row for row in part.to_dicts()}
        body = []
        for name in part["subset"].unique(maintain_order=True).head(LONGEST_LIST).to_list():
            first = rows[name, models[0]]
            cells = [Cell(name, first["remark"])]
            cells += [Cell(number(first[size], 0)) for size in ("videos", "groups")]
            cells += [
                Cell(number(rows[name, model]["value"]), _bounds(rows[name, model]))
                for model in shown
            ]
            body.append(cells)
        best = f" of the best {len(shown)} of {len(models)} models" if models != shown else ""
        caption = f"ROC AUC{best} by {column}, with the 95 % interval over groups."
        tables.append(Table(caption, [str(column), "Videos", "Groups", *shown], body))
    return tables


def calibration_table(content: ReportContent) -> Table:
    """Each model's metrics of probabilities before and after its temperatures."""
    table = content.evaluation.calibration
    metrics = table["metric"].unique(maintain_order=True).to_list()
    rows = {(row["model"], row["metric"]): row for row in table.to_dicts()}
    chosen = content.evaluation.adjusted.group_by("model").agg(
        pl.mean("temperature"), low=pl.min("temperature"), high=pl.max("temperature")
    )
    temperatures = {row["model"]: row for row in chosen.to_dicts()}
    body = []
    for model in ranked_models(content):
        if model in temperatures:
            cells = [Cell(model), _mean_and_range(temperatures[model], "temperature")]
            for metric in metrics:
                row = rows[model, metric]
                lower = (row["after"] or 0) < (row["before"] or 0)
                cells += [Cell(number(row["before"])), Cell(number(row["after"]), "", lower)]
            body.append(cells)
    caption = (
        "Calibration by a temperature for each fold, fitted on the out-of-fold predictions of the "
        "other folds: mean over the folds, and each metric before and after. Lower is better; in "
        "bold where it helped."
    )
    pairs = [f"{title_of(name)}, {when}" for name in metrics for when in ("before", "after")]
    return Table(caption, ["Model", "Temperature", *pairs], body)


def thresholds_table(content: ReportContent) -> Table:
    """The confusion of each model at its thresholds; no rows where there are more classes."""
    adjusted = content.evaluation.adjusted
    body = []
    for model in ranked_models(content):
        part = adjusted.filter((pl.col("model") == model) & pl.col("threshold").is_not_null())
        if not part.height:
            continue
        counts = {
            (target, decided): amount
            for target, decided, amount in part.group_by("target", "decided").len().iter_rows()
        }
        cells = [counts.get(pair, 0) for pair in ((1, 1), (1, 0), (0, 1), (0, 0))]
        recalls = [
            right / (right + wrong)
            for right, wrong in ((cells[0], cells[1]), (cells[3], cells[2]))
            if right + wrong
        ]
        spread = part.select(
            pl.mean("threshold"), low=pl.min("threshold"), high=pl.max("threshold")
        )
        body.append(
            [
                Cell(model),
                _mean_and_range(spread.row(0, named=True), "threshold"),
                *(Cell(number(amount, 0)) for amount in cells),
                Cell(number(sum(recalls) / len(recalls))),
            ]
        )
    name = content.classes[-1]
    caption = (
        "Confusion at the threshold of the best balanced accuracy (Youden's), chosen for each fold "
        "on the out-of-fold predictions of the other folds: its mean and range over the folds."
    )
    columns = ["Model", "Threshold", f"{name}, found", f"{name}, missed", "False alarms"]
    columns += ["Rightly passed", "Balanced accuracy"]
    return Table(caption, columns, body)


def _mean_and_range(row: dict[str, Any], name: str) -> Cell:
    low, high = number(row["low"], 2), number(row["high"], 2)
    return Cell(number(row[name], 2), "" if low == high else f"{low} to {high}")


def _difference(row: dict[str, Any]) -> list[Cell]:
    value = row["difference"]
    said = MISSING if value is None else f"{value:+.3f}"
    tests = [p_value(row[name]) for name in ("adjusted_p_groups", "adjusted_p_folds")]
    return [Cell(said, _bounds(row)), *map(Cell, tests)]


def _bounds(row: dict[str, Any]) -> str:
    return interval(row["low"], row["high"])

"""Which class was taken for which, from out-of-fold predictions."""

import numpy as np
import polars as pl

from reelfit.report.content import ReportContent, ranked_models
from reelfit.report.tables import Cell, Table
from reelfit.report.wording import count, number

MOST_CLASSES = 25
"""With more, a matrix is not read any more: the most frequent confusions are listed instead."""
MOST_PAIRS = 20
READING = "Rows are the true class, columns the predicted one; shares are of each row."


def confusion_tables(content: ReportContent) -> list[Table]:
    """One table for each model that has predictions, best model first."""
    tables = []
    for model in ranked_models(content):
        of_model = content.predictions.filter(pl.col("model") == model)
        if of_model.height:
            many = len(content.classes) > MOST_CLASSES
            table = (
                _pairs(of_model, content.classes) if many else _matrix(of_model, content.classes)
            )
            tables.append(table._replace(caption=f"{model}, {table.caption}"))
    return tables


def _matrix(predictions: pl.DataFrame, classes: list[str]) -> Table:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(
        predictions["target"].to_numpy(),
        predictions["predicted"].to_numpy(),
        labels=np.arange(len(classes)),
    )
    rows = []
    for target, label in enumerate(classes):
        total = int(counts[target].sum())
        cells = [Cell(label)]
        for predicted, amount in enumerate(counts[target].tolist()):
            share = amount / total if total else 0.0
            note = f"{100 * share:.0f} %" if total else ""
            cells.append(Cell(number(amount, 0), note, predicted == target, share))
        rows.append(cells)
    caption = count(predictions.height, "video")
    return Table(caption, ["True class", *classes], rows, kind="matrix")


def _pairs(predictions: pl.DataFrame, classes: list[str]) -> Table:
    wrong = predictions.filter(pl.col("target") != pl.col("predicted"))
    pairs = (
        wrong.group_by("target", "predicted")
        .len("videos")
        .sort("videos", "target", "predicted", descending=[True, False, False])
        .head(MOST_PAIRS)
    )
    rows = [
        [Cell(classes[target]), Cell(classes[predicted]), Cell(number(videos, 0))]
        for target, predicted, videos in pairs.iter_rows()
    ]
    caption = f"the most frequent of {count(wrong.height, 'mistake')}."
    return Table(caption, ["True class", "Predicted class", "Videos"], rows, 2)

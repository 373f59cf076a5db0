"""The part of a report that tells how videos were classified."""

from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.report.body import Body, Fact, Said, Section, Words
from reelfit.report.confusion import READING, confusion_tables
from reelfit.report.content import ReportContent, ranked_models
from reelfit.report.judgement import (
    calibration_tables,
    comparison_table,
    control_row,
    control_tables,
    subset_tables,
)
from reelfit.report.metric_tables import every_fold_table, groups_table, models_table, spread_table
from reelfit.report.others import READING as OTHERS_READING
from reelfit.report.others import others_sections
from reelfit.report.palette import line_of
from reelfit.report.pictures import strip_picture
from reelfit.report.searching import search_tables
from reelfit.report.tables import folds_table
from reelfit.report.verdict import CHANCE, verdict
from reelfit.report.wording import interval, number

if TYPE_CHECKING:
    from reelfit.report.drawing import Drawing

_FOUND: list[Section] = [
    ("comparison", "Comparison"),
    ("controls", "Controls"),
    ("curves", "Curves"),
    ("calibration", "Calibration"),
    ("subsets", "Subsets"),
    ("confusion", "Confusion matrices"),
]


def classification_body(content: ReportContent) -> Body:
    """What the page of a run that classifies has of its own."""
    others = [("others", "On other videos")] if content.others else []
    return Body(
        template="classification.html",
        verdict=verdict(content),
        facts=_facts(content),
        ranking=_ranking(content),
        chance_place=f"{100 * CHANCE}%",
        ticks=[("0", "0"), (f"{100 * CHANCE}%", f"{CHANCE}, chance"), ("100%", "1")],
        found=[("models", "Models"), *others, *_FOUND],
        shown=[("mistakes", "Worst mistakes")],
        learning=learned(content),
        folds=folds_table(content),
        labelled=True,
        values=_values(content),
    )


def classification_words(content: ReportContent) -> Words:
    """What the text of a run that classifies has of its own."""
    models = [models_table(content), groups_table(content), spread_table(content)]
    models += [every_fold_table(content)]
    sections: list[Said] = [
        ("Models", "", [*models, *search_tables(content.search)]),
        *_others(content),
        ("Comparison", "", [comparison_table(content)]),
        ("Controls", "", control_tables(content)),
        ("Calibration", "", calibration_tables(content)),
        ("Subsets", "", subset_tables(content)),
        ("Confusion matrices", READING, confusion_tables(content)),
    ]
    return Words(verdict(content), sections, folds_table(content), labelled=True)


def _others(content: ReportContent) -> list[Said]:
    """A section for each other set; the first says how they are to be read."""
    found: list[Said] = []
    for place, other in enumerate(others_sections(content)):
        words = [*([] if place else [OTHERS_READING]), *other["words"]]
        heading = f"On other videos: {other['name']}"
        found.append((heading, " ".join(words), [other["results"], other["rejected"]]))
    return found


def _values(content: ReportContent) -> dict[str, Any]:
    return {
        "binary": len(content.classes) == 2,
        "models": models_table(content),
        "spread": spread_table(content),
        "groups": groups_table(content),
        "every_fold": every_fold_table(content),
        "searched": search_tables(content.search),
        "others": others_sections(content),
        "others_reading": OTHERS_READING,
        "confusion": confusion_tables(content),
        "reading": READING,
        "mistakes": _mistakes(content),
        "curves": _curves(content),
        **_judged(content),
    }


def _judged(content: ReportContent) -> dict[str, Any]:
    return {
        "control": control_row(content),
        "control_bounds": interval(*(control_row(content).get(bound) for bound in ("low", "high"))),
        "comparison": comparison_table(content),
        "controls": control_tables(content),
        "subsets": subset_tables(content),
        "calibration": calibration_tables(content),
    }


def _curves(content: ReportContent) -> "list[Drawing]":
    # drawing brings matplotlib and scikit-learn, which whoever only names a report does not need
    from reelfit.report.curves import precision_recall_curves, reliability, roc_curves

    curves = [roc_curves(content), precision_recall_curves(content), reliability(content)]
    return [drawing for drawing in curves if drawing]


def learned(content: ReportContent) -> "dict[str, list[Drawing]]":
    """The learning curves of each model that has some: its loss and its ROC AUC."""
    from reelfit.report.learning import Kept, learning_curves

    kept = {}
    for model in ranked_models(content):
        results = content.kfold_results.filter(pl.col("model") == model)
        epochs = dict(results.select("fold", "best_epoch").iter_rows())
        kept[model] = Kept(epochs, set(results.filter("best_fold")["fold"]))
    return learning_curves(content.curves, metrics=("loss", "roc_auc"), kept=kept)


def _facts(content: ReportContent) -> list[Fact]:
    classes = len(content.classes)
    names = ", ".join(content.classes) if classes < 4 else ""
    return [("Classes", number(classes, 0), names)]


def _ranking(content: ReportContent) -> list[dict[str, Any]]:
    """Each model with its place on a ROC AUC axis, its line in the figures and its words."""
    scores = content.summary.filter(pl.col("metric") == "roc_auc")
    rows = {row["model"]: row for row in scores.to_dicts()}
    ranking = []
    for rank, model in enumerate(ranked_models(content)):
        row = rows.get(model, {})
        value, low, high = (row.get(name) for name in ("out_of_fold", "low", "high"))
        ranking.append(
            {
                "model": model,
                "line": line_of(rank).css,
                "value": value,
                "text": number(value),
                "low": low,
                "high": high,
                "interval": interval(low, high),
                "learned": _learned(content, model),
            }
        )
    return ranking


def _learned(content: ReportContent, model: str) -> str:
    """Which fold was best, and which of its epochs was kept."""
    of_model = content.kfold_results.filter((pl.col("model") == model) & pl.col("best_fold"))
    if not of_model.height:
        return ""
    best = of_model.row(0, named=True)
    return f"Best fold: {best['fold']}, kept after epoch {best['best_epoch']}."


def _mistakes(content: ReportContent) -> list[dict[str, Any]]:
    return [
        {
            "model": mistake.model,
            "path": mistake.path,
            "label": mistake.label,
            "predicted": mistake.predicted,
            "probability": number(mistake.probability, 2),
            "picture": strip_picture(mistake.frames),
        }
        for mistake in content.mistakes
    ]

"""The report as one HTML page: no script, no request, readable in light, dark and print."""

import re
from typing import Any

import polars as pl

from reelfit.report.confusion import READING, confusion_tables
from reelfit.report.content import ReportContent, Sheet, ranked_models
from reelfit.report.duplicates import duplicates_pictures, duplicates_table, duplicates_words
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
from reelfit.report.palette import NUM_LINES, line_of
from reelfit.report.pictures import strip_picture
from reelfit.report.searching import search_tables
from reelfit.report.tables import (
    environment_tables,
    folds_table,
    plans_table,
    reasons_table,
    rejected_table,
    stages_table,
    units_table,
)
from reelfit.report.verdict import CHANCE, verdict
from reelfit.report.wording import count, duration, interval, number


def render_page(content: ReportContent) -> str:
    """The whole report as one HTML file; the same content gives the same bytes.

    Whatever came from videos, tables or the study is escaped. Memory: the page and one picture.
    """
    return _filled(
        content=content,
        verdict=verdict(content),
        shrunk=content.shrunk,
        facts=_facts(content),
        ranking=_ranking(content),
        chance=CHANCE,
        binary=len(content.classes) == 2,
        models=models_table(content),
        spread=spread_table(content),
        groups=groups_table(content),
        every_fold=every_fold_table(content),
        searched=search_tables(content.search),
        few=NUM_LINES,
        **_judged(content),
        others=others_sections(content),
        others_reading=OTHERS_READING,
        confusion=confusion_tables(content),
        reading=READING,
        stages=stages_table(content),
        plans=plans_table(content),
        units=units_table(content),
        sheets=[_sheet(sheet) for sheet in content.contact_sheet],
        mistakes=_mistakes(content),
        reasons=reasons_table(content),
        rejected=rejected_table(content),
        look_alikes=duplicates_pictures(content),
        duplicates=duplicates_table(content),
        duplicates_words=duplicates_words(content),
        folds=folds_table(content),
        environment=environment_tables(content.environment),
        **_drawings(content),
    )


def _judged(content: ReportContent) -> dict[str, Any]:
    return {
        "control": control_row(content),
        "control_bounds": interval(*(control_row(content).get(bound) for bound in ("low", "high"))),
        "comparison": comparison_table(content),
        "controls": control_tables(content),
        "subsets": subset_tables(content),
        "calibration": calibration_tables(content),
    }


def _filled(**values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reelfit.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html").render(values)


def _breakable(text: str) -> str:
    """``text`` escaped, with places after which a long name may go on in the next line."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[/_])(?=.)", text))


def _drawings(content: ReportContent) -> dict[str, Any]:
    # drawing brings matplotlib and scikit-learn, which whoever only names a report does not need
    from reelfit.report.curves import precision_recall_curves, reliability, roc_curves
    from reelfit.report.learning import learning_curves
    from reelfit.report.timeline import memory_timeline

    curves = [roc_curves(content), precision_recall_curves(content), reliability(content)]
    return {
        "curves": [drawing for drawing in curves if drawing],
        "learning": learning_curves(content),
        "timeline": memory_timeline(content.memory),
    }


def _facts(content: ReportContent) -> list[tuple[str, str, str]]:
    """What was run, as (name, value, remark)."""
    folds, rejected = content.folds, content.rejected.height
    judged = folds.filter(pl.col("fold") > 0)["fold"].n_unique()
    classes = len(content.classes)
    facts = [
        ("Videos", number(folds.height, 0), f"{count(folds['group'].n_unique(), 'group')}"),
        ("Classes", number(classes, 0), ", ".join(content.classes) if classes < 4 else ""),
        ("Models", number(len(ranked_models(content)), 0), ""),
        ("Folds", number(judged, 0), "no group on two sides"),
        ("Rejected", number(rejected, 0), "with reasons below" if rejected else ""),
        ("Time", duration(content.elapsed_seconds), ""),
    ]
    peak = content.stages["host_peak_mb"].max()
    if isinstance(peak, float):
        budget = content.memory["budget_mb"].max()
        remark = f"of a budget of {number(budget, 0)} MiB" if isinstance(budget, float) else ""
        facts.append(("Highest peak", f"{number(peak, 0)} MiB", remark))
    return facts


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


def _sheet(sheet: Sheet) -> dict[str, Any]:
    rows = [{"caption": row.caption, "picture": strip_picture(row.frames)} for row in sheet.rows]
    return {"path": sheet.path, "label": sheet.label, "rows": rows}


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

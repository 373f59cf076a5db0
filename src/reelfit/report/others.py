"""What the models reach on other sets of videos, in words and as tables."""

from typing import Any

import polars as pl

from reelfit.report.content import OtherSet, ReportContent, ranked_models
from reelfit.report.tables import LONGEST_LIST, Cell, Table
from reelfit.report.wording import count, interval, listed, number, title_of

OF_OTHERS = ("roc_auc", "average_precision", "balanced_accuracy", "f1", "brier_score")
"""The metrics shown; evaluate_on.parquet has the others."""
READING = (
    "'There' is the mean, over the folds, of what each fold's model reaches on all videos of the "
    "set: as good as one model of that kind is. Its 95 % interval is over resamples of the set's "
    "groups, the same ones for all folds. The drop is how much worse that is than out of fold; its "
    "interval is of the differences of independent resamples of both. 'Folds together' judges the "
    "mean of the folds' probabilities: more models than one, so it is often better, and no drop is "
    "told of it."
)


def others_sections(content: ReportContent) -> list[dict[str, Any]]:
    """Each set with its name, sentences and tables."""
    return [
        {
            "name": other.name,
            "words": others_words(content, other),
            "results": results_table(content, other),
            "rejected": others_rejected_table(other),
        }
        for other in content.others
    ]


def others_words(content: ReportContent, other: OtherSet) -> list[str]:
    """What was judged, what was left out, and what makes a figure less than it seems."""
    words = []
    if other.results.height:
        first = other.results.row(0, named=True)
        videos, groups = count(first["videos"], "video"), count(first["groups"], "group")
        words.append(f"The models were judged on {videos} of {groups}.")
        words += [
            f"{listed(models)}: {remark}."
            for remark, models in _remarks(other.results).items()
            if remark
        ]
    else:
        words.append("No model could be judged on it: no video is left.")
    words += _of_rejected(other.rejected)
    if other.same_groups:
        words.append(
            f"Groups of it that are called like a group of the study: {other.same_groups}. If they "
            "are the same sources, these figures are too kind."
        )
    missing = [m for m in ranked_models(content) if m not in set(other.results["model"])]
    if missing and other.results.height:
        words.append(
            f"Not judged on it: {listed(missing)}, having no checkpoint of its own on each fold, "
            "or features that are not made of other sets."
        )
    return words


def _remarks(results: pl.DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for model, remark in results.select("model", "remark").unique(maintain_order=True).iter_rows():
        found.setdefault(remark, []).append(model)
    return found


def _of_rejected(rejected: pl.DataFrame) -> list[str]:
    shared = rejected.filter(pl.col("stage") == "duplicates")
    left_out, kept = shared.filter(~pl.col("kept")).height, shared.filter("kept").height
    words = []
    if left_out:
        words.append(
            f"{count(left_out, 'video')} left out: in the study, too, or of one group with a video "
            "that is."
        )
    if kept:
        words.append(
            f"{count(kept, 'video')} judged, as the study asks, though in the study, too, or of "
            "one group with a video that is: these figures are too kind."
        )
    unusable = rejected.height - shared.height
    if unusable:
        words.append(f"{count(unusable, 'row')} could not be used.")
    return words


def results_table(content: ReportContent, other: OtherSet) -> Table:
    """Each model and metric: there, out of fold, the drop, and with the folds taken together."""
    rows = {(r["model"], r["metric"], r["way"]): r for r in other.results.to_dicts()}
    body = []
    for metric in OF_OTHERS:
        for model in ranked_models(content):
            if (model, metric, "each") in rows:
                each, together = (rows[model, metric, way] for way in ("each", "together"))
                drop = interval(each["drop_low"], each["drop_high"])
                worse = each["drop_low"] is not None and each["drop_low"] > 0
                body.append(
                    [
                        Cell(title_of(metric)),
                        Cell(model),
                        _cell(each),
                        Cell(number(each["out_of_fold"]), _before(content, model, metric)),
                        Cell(number(each["drop"]), drop, worse),
                        _cell(together),
                    ]
                )
    caption = f"On {other.name}: there, beside out of fold; a drop above 0 beyond doubt in bold."
    columns = ["Metric", "Model", "There", "Out of fold", "Drop", "Folds together"]
    return Table(caption, columns, body, 2)


def others_rejected_table(other: OtherSet) -> Table:
    """Each row that could not be used or that the study has, too."""
    listed_rows = other.rejected.head(LONGEST_LIST)
    body = [
        [
            Cell(row["path"], "kept all the same" if row["kept"] else ""),
            Cell(row["reason"]),
            Cell(row["detail"]),
            Cell(number(row["row"], 0)),
        ]
        for row in listed_rows.to_dicts()
    ]
    more = other.rejected.height - listed_rows.height
    rest = f" The other {more:,} stand in evaluate_on_rejected.parquet." if more else ""
    caption = f"Rows of {other.name} that could not be used or are in the study, too.{rest}"
    return Table(caption, ["Path", "Reason", "Detail", "Row"], body, 3)


def _cell(row: dict[str, Any]) -> Cell:
    return Cell(number(row["value"]), interval(row["low"], row["high"]))


def _before(content: ReportContent, model: str, metric: str) -> str:
    found = content.summary.filter((pl.col("model") == model) & (pl.col("metric") == metric))
    return interval(found["low"][0], found["high"][0]) if found.height else ""

"""What the run found, in words: the best model, how sure that is, and whether it beats chance."""

from typing import Any, NamedTuple

import polars as pl

from reelfit.report.content import ReportContent
from reelfit.report.wording import count, interval, number

CHANCE = 0.5
"""The ROC AUC of guessing, for any number of classes and any balance."""


class Verdict(NamedTuple):
    """One line that stands alone, and the sentences that qualify it."""

    headline: str
    sentences: list[str]


def verdict(content: ReportContent) -> Verdict:
    """The verdict on the model with the best out-of-fold ROC AUC."""
    videos, groups = content.folds["video_id"].n_unique(), content.folds["group"].n_unique()
    scored = (
        content.summary.filter((pl.col("metric") == "roc_auc") & pl.col("out_of_fold").is_not_nan())
        .sort("out_of_fold", descending=True, maintain_order=True)
        .to_dicts()
    )
    if not scored:
        sentence = "The tables below give the metrics that could be computed."
        return Verdict("No model has an out-of-fold ROC AUC.", [sentence])
    best = scored[0]
    sentences = [
        f"Measured on {count(videos, 'video')} of {count(groups, 'group')}, each scored by a "
        "model that never saw its group."
    ]
    sentences += [_against_chance(best)]
    if len(scored) > 1:
        sentences += [
            _against_second(best, scored[1]),
            f"It was picked as the best of {len(scored)} on these same videos: expect a little "
            "less on new ones.",
        ]
    return Verdict(_headline(best), sentences)


def _headline(best: dict[str, Any]) -> str:
    place = _against(best)
    claim = {
        "above": "is better than chance",
        "below": "is worse than chance",
        "across": "is not shown to be better than chance",
        "unknown": "has the best score",
    }[place]
    bounds = interval(best["low"], best["high"])
    spread = f" (95\u00a0% interval {bounds})" if bounds else ""
    return f"{best['model']} {claim}: ROC AUC {number(best['out_of_fold'])}{spread}."


def _against(row: dict[str, Any]) -> str:
    if not interval(row["low"], row["high"]):
        return "unknown"
    if row["low"] > CHANCE:
        return "above"
    return "below" if row["high"] < CHANCE else "across"


def _against_chance(best: dict[str, Any]) -> str:
    return {
        "above": f"The interval excludes chance ({CHANCE}).",
        "below": f"The whole interval lies below chance ({CHANCE}): are two labels swapped?",
        "across": f"The interval includes chance ({CHANCE}): more videos, or another model, would "
        "be needed to show that anything was learned.",
        "unknown": f"There is no interval, so nothing is said against chance ({CHANCE}).",
    }[_against(best)]


def _against_second(best: dict[str, Any], second: dict[str, Any]) -> str:
    name = f"Second is {second['model']} with {number(second['out_of_fold'])}"
    bounds = interval(second["low"], second["high"])
    if not bounds or _against(best) == "unknown":
        return f"{name}, without an interval to compare."
    if second["high"] >= best["low"] and best["high"] >= second["low"]:
        return (
            f"{name} ({bounds}): the intervals overlap, so these videos do not settle which of "
            "the two is better."
        )
    return f"{name} ({bounds}): the intervals do not overlap."

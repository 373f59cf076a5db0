"""What the run found, in words: the best model, how sure that is, and whether it beats chance.

And whether it beats the other models and the control: 'no model is better' is a finding, too.
"""

from typing import Any, NamedTuple

import polars as pl

from reelfit.report.content import ReportContent
from reelfit.report.judgement import control_row, shown_better
from reelfit.report.wording import count, interval, listed, number

CHANCE = 0.5
"""The ROC AUC of guessing, for any number of classes and any balance."""
MOST_NAMED = 4


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
            _among_models(content, scored),
            f"It was picked as the best of {len(scored)} on these same videos: expect a little "
            "less on new ones.",
        ]
    return Verdict(_headline(content, scored), [*sentences, *_beside_control(content, scored)])


def _headline(content: ReportContent, scored: list[dict[str, Any]]) -> str:
    best, place = scored[0], _against(scored[0])
    if place == "above" and _leaks(content) and not _better_than_control(content):
        leader = f"{best['model']} has {_reach(best)}"
        return f"No model is shown to be better than container facts alone: {leader}."
    unbeaten = _unbeaten(content, scored)
    if place == "above" and 1 < len(scored) == len(unbeaten):
        first = next(name for name in content.summary["model"] if name in unbeaten)
        found = next(row for row in scored if row["model"] == first)
        return f"No model is shown to be better than {first}: {_reach(found)}."
    claim = {
        "above": "is better than chance",
        "below": "is worse than chance",
        "across": "is not shown to be better than chance",
        "unknown": "has the best score",
    }[place]
    if place == "above" and len(unbeaten) == 1 < len(scored):
        claim += " and than every other model"
    return f"{best['model']} {claim}: {_reach(best)}."


def _reach(row: dict[str, Any]) -> str:
    bounds = interval(row["low"], row["high"])
    spread = f" (95\u00a0% interval {bounds})" if bounds else ""
    return f"ROC AUC {number(row['out_of_fold'])}{spread}"


def _against(row: dict[str, Any]) -> str:
    if not interval(row["low"], row["high"]):
        return "unknown"
    if row["low"] > CHANCE:
        return "above"
    return "below" if row["high"] < CHANCE else "across"


def _against_chance(best: dict[str, Any]) -> str:
    name = f"{best['model']} leads; the" if _against(best) == "above" else "The"
    return {
        "above": f"{name} interval of its ROC AUC excludes chance ({CHANCE}).",
        "below": f"The whole interval lies below chance ({CHANCE}): are two labels swapped?",
        "across": f"The interval includes chance ({CHANCE}): more videos, or another model, would "
        "be needed to show that anything was learned.",
        "unknown": f"There is no interval, so nothing is said against chance ({CHANCE}).",
    }[_against(best)]


def _pairs(content: ReportContent, against: str) -> list[dict[str, Any]]:
    return content.evaluation.comparison.filter(pl.col("against") == against).to_dicts()


def _unbeaten(content: ReportContent, scored: list[dict[str, Any]]) -> list[str]:
    """The models that no other one is shown to be better than, best first."""
    beaten = {pair["second"] for pair in _pairs(content, "model") if shown_better(pair)}
    return [row["model"] for row in scored if row["model"] not in beaten]


def _among_models(content: ReportContent, scored: list[dict[str, Any]]) -> str:
    """What can be said of the best model against the others, after correction for all pairs."""
    best = scored[0]["model"]
    pairs = [pair for pair in _pairs(content, "model") if pair["first"] == best]
    if not pairs:
        return "The models were not compared with each other."
    worse = [pair for pair in pairs if shown_better(pair)]
    others = [pair["second"] for pair in pairs if not shown_better(pair)]
    corrected = "after correction for all pairs"
    if not worse:
        return (
            f"{best} has the highest ROC AUC, {number(scored[0]['out_of_fold'])}, but these videos "
            f"do not show it to be better than any other model, {corrected}."
        )
    by_folds = sum((pair["adjusted_p_folds"] or 1) < 0.05 for pair in worse)
    said = f"{best} is better than {_named([pair['second'] for pair in worse])}, {corrected}"
    said += f"; the t-test over folds agrees on {by_folds} of {len(worse)}."
    return said + (f" These videos do not tell it from {_named(others)}." if others else "")


def _named(models: list[str]) -> str:
    return listed(models) if len(models) <= MOST_NAMED else f"{len(models)} other models"


def _leaks(content: ReportContent) -> bool:
    low = control_row(content).get("low")
    return low is not None and low > CHANCE


def _better_than_control(content: ReportContent) -> list[str]:
    return [pair["first"] for pair in _pairs(content, "control") if shown_better(pair)]


def _beside_control(content: ReportContent, scored: list[dict[str, Any]]) -> list[str]:
    """Whether the labels leak through metadata, through which, and who is better than that."""
    control = control_row(content)
    if control.get("value") is None:
        return []
    bounds = interval(control["low"], control["high"])
    reach = f"ROC AUC {number(control['value'])} ({bounds})" if bounds else "a ROC AUC"
    if not _leaks(content):
        return [f"A model on container facts alone has {reach}: no leak through them is shown."]
    alone = content.evaluation.control_facts.slice(1).filter(pl.col("low") > CHANCE)
    facts = [name.replace("_", " ") for name in alone["fact"].head(MOST_NAMED)]
    through = f"most of all through {listed(facts)}" if facts else "through several together"
    better = _better_than_control(content)
    return [
        f"The labels leak through metadata: a model on container facts alone, without a look at a "
        f"frame, has {reach}, {through}.",
        f"{len(better)} of {count(len(scored), 'model')} "
        f"{'is' if len(better) == 1 else 'are'} shown to be better than that.",
    ]

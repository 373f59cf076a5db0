"""What a run that retrieves found, in words: the best model, and whether it beats chance."""

from typing import Any

from reelfit.report.retrieval.content import RetrievalContent
from reelfit.report.retrieval.ranking import DIRECTIONS, FIRST, mean_of_both, ranked, rows_of
from reelfit.report.verdict import Verdict
from reelfit.report.wording import count, interval, listed, number

Reached = dict[str, dict[str, Any]]
"""The rows of R@1 of one model, by direction."""


def retrieval_verdict(content: RetrievalContent) -> Verdict:
    """The verdict on the model with the highest R@1 in the mean of both directions."""
    scores = mean_of_both(content.summary, by=["model"])
    models = [model for model in ranked(content) if (model,) in scores]
    if not models:
        sentence = "The tables below give the metrics that could be computed."
        return Verdict("No model has an R@1 in both directions.", [sentence])
    rows = rows_of(content)
    reached = {
        model: {direction: rows[model, direction, FIRST] for direction in DIRECTIONS}
        for model in models
    }
    sentences = [_measured(content), _chance(reached[models[0]])]
    if len(models) > 1:
        sentences += [
            *_others(models, reached),
            f"It was picked as the best of {len(models)} on these same queries: expect a little "
            "less on new ones.",
        ]
    return Verdict(_headline(models, reached), [each for each in sentences if each])


def _headline(models: list[str], reached: dict[str, Reached]) -> str:
    best = models[0]
    above, sides = _above(reached[best]), _sides(reached[best])
    if len(above) == len(DIRECTIONS):
        claim = f"{best} is better than chance in both directions"
    elif above:
        claim = f"{best} is better than chance, but only {DIRECTIONS[above[0]]}"
    elif "unknown" in sides:
        claim = f"{best} has the best score"
    elif sides == ["below"] * len(DIRECTIONS):
        claim = f"{best} is worse than chance"
    elif len(models) > 1 and not any(_above(reached[model]) for model in models):
        return (
            f"No model is shown to be better than chance: the highest is that of {best}, "
            f"{_reach(reached[best])}."
        )
    else:
        claim = f"{best} is not shown to be better than chance"
    return f"{claim}: {_reach(reached[best])}."


def _reach(rows: Reached) -> str:
    """``R@1 0.612 (95 % interval 0.55 to 0.67) from video to text, 0.58 (...) ...``."""
    said = []
    for place, (direction, words) in enumerate(DIRECTIONS.items()):
        row = rows[direction]
        bounds = interval(row["low"], row["high"])
        named = "" if place else "95\u00a0% interval "
        spread = f" ({named}{bounds})" if bounds else ""
        said.append(f"{number(row['value'])}{spread} {words}")
    return f"R@1 {listed(said)}"


def _sides(rows: Reached) -> list[str]:
    return [_side(rows[direction]) for direction in DIRECTIONS]


def _side(row: dict[str, Any]) -> str:
    if not interval(row["low"], row["high"]) or row["chance"] is None:
        return "unknown"
    if row["low"] > row["chance"]:
        return "above"
    return "below" if row["high"] < row["chance"] else "across"


def _above(rows: Reached) -> list[str]:
    """The directions in which the whole interval lies above chance."""
    return [direction for direction in DIRECTIONS if _side(rows[direction]) == "above"]


def _measured(content: RetrievalContent) -> str:
    own = content.queries.unique(["direction", "query"])
    items = own.filter(own["direction"] == "video_to_text")
    texts = own.height - items.height
    return (
        f"Measured on {count(items.height, 'item')} of {count(items['group'].n_unique(), 'group')} "
        f"and {count(texts, 'text')}, each ranked by a model that never saw its group."
    )


def _chance(rows: Reached) -> str:
    found = [rows[direction]["chance"] for direction in DIRECTIONS]
    if None in found:
        return "What a random order would reach is not known, so nothing is said against chance."
    said = [f"{number(c)} {words}" for c, words in zip(found, DIRECTIONS.values(), strict=True)]
    return (
        "R@1 is the share of queries whose first answer is right; a random order has "
        f"{listed(said)}."
    )


def _others(models: list[str], reached: dict[str, Reached]) -> list[str]:
    """Which models the best one is not apart from, and which beat chance where it does not."""
    best, *others = models
    near = [model for model in others if not _apart(reached[best], reached[model])]
    said = [f"{best} has the highest R@1 in the mean of both directions."]
    if near:
        named = listed(near) if len(near) <= 4 else f"{len(near)} other models"
        said.append(f"Its intervals overlap those of {named} in at least one direction.")
    else:
        said.append("Its intervals lie above those of every other model.")
    if not _above(reached[best]):
        above = [model for model in others if _above(reached[model])]
        said += [f"Shown to be better than chance: {listed(above)}."] if above else []
    return said


def _apart(best: Reached, other: Reached) -> bool:
    """Whether the best one's intervals lie above the other's in both directions."""
    pairs = [(best[d]["low"], other[d]["high"]) for d in DIRECTIONS]
    return all(low is not None and high is not None and low > high for low, high in pairs)

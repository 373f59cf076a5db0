"""The order of the models, which is that of their R@1 in the mean of both directions."""

from typing import Any, Final

import polars as pl

from reelfit.report.retrieval.content import RetrievalContent

DIRECTIONS: Final = {
    "video_to_text": "from video to text",
    "text_to_video": "from text to video",
}
FIRST: Final = "recall@1"

Rows = dict[tuple[str, str, str], dict[str, Any]]
"""The rows of the summary by model, direction and metric."""


def rows_of(content: RetrievalContent) -> Rows:
    """Each row of the summary by what it tells of."""
    rows = content.summary.to_dicts()
    return {(row["model"], row["direction"], row["metric"]): row for row in rows}


def mean_of_both(
    table: pl.DataFrame, *, by: list[str], value: str = "value"
) -> dict[tuple[Any, ...], float]:
    """R@1 in the mean of both directions, for each combination of ``by`` that has both."""
    found = (
        table.filter(
            (pl.col("metric") == FIRST)
            & pl.col("direction").is_in(list(DIRECTIONS))
            & pl.col(value).is_not_nan()
        )
        .group_by(by, maintain_order=True)
        .agg(pl.mean(value), pl.len().alias("directions"))
        .filter(pl.col("directions") == len(DIRECTIONS))
    )
    return {tuple(row[:-2]): row[-2] for row in found.iter_rows()}


def ranked(content: RetrievalContent) -> list[str]:
    """The models, best first; those without R@1 in both directions last, in the summary's order."""
    scores = mean_of_both(content.summary, by=["model"])
    names = content.summary["model"].unique(maintain_order=True).to_list()
    return sorted(names, key=lambda name: -scores.get((name,), -1.0))


def best_folds(content: RetrievalContent) -> dict[str, int]:
    """Of each model the fold of the highest R@1 in the mean of both directions."""
    best: dict[str, int] = {}
    scores = mean_of_both(content.results, by=["model", "fold"])
    for model, fold in sorted(scores, key=lambda place: (-scores[place], place)):
        best.setdefault(model, fold)
    return best

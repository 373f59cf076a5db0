"""Which retrievals and captions are shown with their frames: the same ones for the same tables."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from reelfit.report.content import Frames
from reelfit.report.retrieval.content import Answer, CaptionSample, ItemVideo, Retrieval

SHOWN = 4
"""Of the best, and of the worst."""
SAMPLES = 6
MOST_ANSWERS = 5

FramesOf = Callable[[str], Sequence[tuple[str, Frames]]]
"""Gives the videos of an item: of each its path and the frames that the models got."""


def best_and_worst(
    model: str,
    *,
    queries: pl.DataFrame,
    top: pl.DataFrame,
    texts: pl.DataFrame,
    frames_of: FramesOf,
    shown: int = SHOWN,
) -> tuple[list[Retrieval], list[Retrieval]]:
    """The items whose texts a model found first, by the widest margin, and those it found last.

    ``queries`` and ``top`` are RETRIEVAL_QUERIES and RETRIEVAL_TOP of
    ``data/retrieval_tables.py``; ``texts`` has an ``item`` and a ``text`` in each row. No two
    shown have the same right texts while there are others, and none is among both. Memory: the
    frames of what is shown.
    """
    here = (pl.col("model") == model) & (pl.col("direction") == "video_to_text")
    found = (
        queries.filter(here)
        .join(_margins(top.filter(here)), on=["fold", "query"], how="left")
        .join(_right_texts(texts), left_on="query", right_on="item", how="left")
    )
    best = found.filter(pl.col("rank") == 1).sort(
        "margin", "query", descending=[True, False], nulls_last=True
    )
    worst = found.filter(pl.col("rank") > 1).sort(
        "rank", "margin", "query", descending=[True, False, False], nulls_last=True
    )
    answers = top.filter(here).sort("place")
    picked = [_different(each, shown) for each in (best, worst)]
    first, last = ([_retrieval(row, answers, frames_of) for row in rows] for rows in picked)
    return first, last


def _margins(top: pl.DataFrame) -> pl.DataFrame:
    """By how much the best right answer of a query is above the best wrong one, as far as seen."""
    highest = {
        side: pl.col("score").filter(pl.col("right") == side).max() for side in (True, False)
    }
    lowest = pl.col("score").min()
    margin = highest[True].fill_null(lowest) - highest[False].fill_null(lowest)
    return top.group_by("fold", "query").agg(margin.alias("margin"))


def _right_texts(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.group_by("item", maintain_order=True).agg(pl.col("text").alias("texts"))


def _different(found: pl.DataFrame, shown: int) -> list[dict[str, Any]]:
    """The first rows, those with right texts that an earlier one has only where more are wanted."""
    seen: set[tuple[str, ...]] = set()
    fresh: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    for row in found.with_columns(pl.col("texts").fill_null([])).iter_rows(named=True):
        if len(fresh) == shown:
            break
        texts = tuple(sorted(row["texts"]))
        (again if texts in seen else fresh).append(row)
        seen.add(texts)
    return [*fresh, *again][:shown]


def _retrieval(row: dict[str, Any], top: pl.DataFrame, frames_of: FramesOf) -> Retrieval:
    own = top.filter((pl.col("query") == row["query"]) & (pl.col("fold") == row["fold"]))
    answers = own.head(MOST_ANSWERS).select("answer", "score", "right").iter_rows()
    return Retrieval(
        model=row["model"],
        item=row["query"],
        videos=_videos(row["query"], frames_of),
        texts=row["texts"],
        rank=row["rank"],
        num_answers=row["answers"],
        answers=[Answer(*answer) for answer in answers],
    )


def _videos(item: str, frames_of: FramesOf) -> list[ItemVideo]:
    return [ItemVideo(path, frames) for path, frames in frames_of(item)]


def caption_samples(
    model: str,
    *,
    captions: pl.DataFrame,
    metric: str,
    frames_of: FramesOf,
    shown: int = SAMPLES,
) -> list[CaptionSample]:
    """Captions of a model from its best to its worst by ``metric``, at even distances.

    ``captions`` is CAPTIONS of ``data/retrieval_tables.py``; captions without the metric are last.
    Memory: the frames of what is shown.
    """
    value = pl.col("metrics").list.eval(
        pl.element()
        .struct.field("value")
        .filter(pl.element().struct.field("metric") == pl.lit(metric))
    )
    ordered = (
        captions.filter(pl.col("model") == model)
        .with_columns(value=value.list.first())
        .sort("value", "item", "fold", descending=[True, False, False], nulls_last=True)
    )
    last, most = ordered.height - 1, min(shown, ordered.height)
    places = sorted({round(place * last / max(1, most - 1)) for place in range(most)})
    return [
        CaptionSample(
            model=model,
            item=row["item"],
            videos=_videos(row["item"], frames_of),
            references=row["references"],
            generated=row["generated"],
        )
        for row in ordered[places].to_dicts()
    ]

"""The tables of one model's retrieval and captions, from what its folds kept."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from jaxtyping import Int64

from reelfit.data import retrieval_tables as schemas
from reelfit.data.evaluation_tables import frame_of
from reelfit.metrics.captions import CAPTION_METRICS, measure_captions
from reelfit.metrics.resampling import number_groups
from reelfit.metrics.retrieval import Direction, RetrievalMetrics, retrieval_metrics
from reelfit.metrics.retrieval.intervals import Interval, find_intervals
from reelfit.metrics.retrieval.measures import summarize
from reelfit.stages.judging import FEWEST_GROUPS
from reelfit.stages.learners.kept import Kept

KS = (1, 5, 10, 50)
DIRECTIONS: Final[tuple[Direction, Direction]] = ("video_to_text", "text_to_video")


def judge_retrieval(
    model: str,
    kept: Mapping[int, Kept],
    *,
    top: int,
    memory: str,
    resamples: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> dict[str, pl.DataFrame]:
    """The tables ``retrieval_*`` of one model; each query is ranked among its own fold's answers.

    Memory: ``memory``, and a row for each query.
    """
    found: dict[int, RetrievalMetrics] = {}
    for number, (fold, each) in enumerate(kept.items(), 1):
        found[fold] = retrieval_metrics(
            each.videos,
            each.text_features,
            each.right_texts,
            memory=memory,
            ks=KS,
            exact=True,
            top=top,
            groups=each.items["group"].to_list() if _are_enough(each.items["group"]) else None,
            resamples=resamples,
            seed=seed,
        )
        on_progress(number)
    folds = [row for fold in kept for row in _fold_rows(model, fold, found[fold])]
    return {
        "retrieval_folds": frame_of(folds, schemas.RETRIEVAL_FOLDS),
        "retrieval_summary": _summary(model, kept, found, folds, resamples=resamples, seed=seed),
        "retrieval_queries": _queries(model, kept, found),
        "retrieval_top": _top(model, kept, found),
    }


def _fold_rows(model: str, fold: int, found: RetrievalMetrics) -> list[dict[str, Any]]:
    place = {"model": model, "fold": fold}
    rows = [
        place
        | {"direction": direction, "metric": metric, "value": value}
        | dict(zip(("low", "high"), _bounds(found.intervals.get(direction), metric), strict=True))
        for direction in DIRECTIONS
        for metric, value in found[direction].items()
    ]
    alone: dict[str, float | None] = {"alignment": found.alignment}
    alone |= {f"uniformity_{what}": value for what, value in found.uniformity.items()}
    return rows + [
        place | {"direction": "both", "metric": name, "value": value, "low": None, "high": None}
        for name, value in alone.items()
    ]


def _summary(
    model: str,
    kept: Mapping[int, Kept],
    found: Mapping[int, RetrievalMetrics],
    folds: list[dict[str, Any]],
    *,
    resamples: int,
    seed: int,
) -> pl.DataFrame:
    by_fold = frame_of(folds, schemas.RETRIEVAL_FOLDS)
    groups = number_groups(_group_of_pairs(kept, found))
    groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    rows = []
    for direction, column in zip(DIRECTIONS, ("video", "text"), strict=True):
        tables = [found[fold].queries[direction] for fold in kept]
        queries, numbers = pl.concat(tables), _numbers(kept, found, column)
        values = summarize(queries, ks=KS)
        intervals = None
        if _are_enough(pl.Series(groups)):
            intervals = find_intervals(
                queries, numbers, groups, ks=KS, resamples=resamples, seed=seed
            )
        answers = np.repeat(
            [_answers(kept[fold], direction) for fold in kept], [table.height for table in tables]
        )
        chance = {f"recall@{k}": _chance(queries["right"].to_numpy(), answers, k) for k in KS}
        for metric, value in values.items():
            low, high = _bounds(intervals, metric)
            rows.append(
                {
                    "model": model,
                    "direction": direction,
                    "metric": metric,
                    "value": value,
                    "low": low,
                    "high": high,
                    "chance": chance.get(metric),
                }
            )
    alone = by_fold.filter(pl.col("direction") == "both")["metric"].unique(maintain_order=True)
    rows += [{"model": model, "direction": "both", "metric": metric} for metric in alone]
    return frame_of(_with_spread(rows, by_fold), schemas.RETRIEVAL_SUMMARY)


def _are_enough(groups: pl.Series) -> bool:
    """Whether resamples of them say anything: those of one group are all alike."""
    return groups.n_unique() >= FEWEST_GROUPS


def _bounds(intervals: Mapping[str, Interval] | None, metric: str) -> Interval:
    return (None, None) if intervals is None else intervals[metric]


def _with_spread(rows: list[dict[str, Any]], by_fold: pl.DataFrame) -> list[dict[str, Any]]:
    """``rows`` with mean and standard deviation over the folds."""
    found = []
    for row in rows:
        here = (pl.col("direction") == row["direction"]) & (pl.col("metric") == row["metric"])
        values = by_fold.filter(here)["value"]
        mean = values.mean()
        empty = {"value": mean, "low": None, "high": None, "chance": None}
        spread = {"mean": mean, "standard_deviation": values.std() if len(values) > 1 else None}
        full = empty | row | spread
        found.append({name: full[name] for name in schemas.RETRIEVAL_SUMMARY.columns})
    return found


def _group_of_pairs(kept: Mapping[int, Kept], found: Mapping[int, RetrievalMetrics]) -> list[str]:
    return [
        group
        for fold, each in kept.items()
        for group in each.items["group"].gather(found[fold].pairs["video"]).to_list()
    ]


def _numbers(
    kept: Mapping[int, Kept], found: Mapping[int, RetrievalMetrics], column: str
) -> Int64[np.ndarray, " pair"]:
    """The query of each pair, counted through all folds."""
    before, parts = 0, []
    for fold, each in kept.items():
        parts.append(found[fold].pairs[column].to_numpy().astype(np.int64) + before)
        before += (each.items if column == "video" else each.texts).height
    return np.concatenate(parts)


def _answers(kept: Kept, direction: str) -> int:
    return (kept.texts if direction == "video_to_text" else kept.items).height


def _chance(right: np.ndarray, answers: np.ndarray, k: int) -> float:
    """The mean recall of a random order: one less the chance that the first ``k`` are all wrong."""
    missed = np.ones(len(right))
    for place in range(k):
        left = answers - place
        missed *= np.clip(left - right, 0, None) / np.maximum(left, 1)
    return float(np.mean(1 - missed))


def _queries(
    model: str, kept: Mapping[int, Kept], found: Mapping[int, RetrievalMetrics]
) -> pl.DataFrame:
    parts = []
    for fold, each in kept.items():
        video_of_text = found[fold].pairs.unique("text", keep="first", maintain_order=True)
        for direction in DIRECTIONS:
            table = found[fold].queries[direction].filter(pl.col("right") > 0)
            video = table.select(video="query")
            if direction == "text_to_video":
                video = table.select(text="query").join(
                    video_of_text, on="text", maintain_order="left"
                )
            parts.append(
                table.select(
                    *_place(model, fold, direction),
                    _named(each, direction, table["query"]).alias("query"),
                    each.items["group"].gather(video["video"]).alias("group"),
                    pl.col("rank").cast(pl.Float64),
                    pl.col("right").cast(pl.Int32),
                    pl.lit(_answers(each, direction), dtype=pl.Int32).alias("answers"),
                )
            )
    return pl.concat(parts)


def _place(model: str, fold: int, direction: Direction) -> list[pl.Expr]:
    return [
        pl.lit(model).alias("model"),
        pl.lit(fold, dtype=pl.Int32).alias("fold"),
        pl.lit(direction).alias("direction"),
    ]


def _named(kept: Kept, direction: Direction, queries: pl.Series) -> pl.Series:
    """What queries of a direction are called, by their numbers."""
    names = kept.items["item"] if direction == "video_to_text" else kept.texts["text"]
    return names.gather(queries)


def _top(
    model: str, kept: Mapping[int, Kept], found: Mapping[int, RetrievalMetrics]
) -> pl.DataFrame:
    parts = []
    for fold, each in kept.items():
        for direction, other in zip(DIRECTIONS, reversed(DIRECTIONS), strict=True):
            table = found[fold].top[direction]
            parts.append(
                table.select(
                    *_place(model, fold, direction),
                    _named(each, direction, table["query"]).alias("query"),
                    pl.col("place").cast(pl.Int32),
                    _named(each, other, table["match"]).alias("answer"),
                    pl.col("score").cast(pl.Float64),
                    pl.col("is_right").alias("right"),
                )
            )
    return pl.concat(parts)


def judge_captions(
    model: str, kept: Mapping[int, Kept], *, resamples: int, seed: int
) -> dict[str, pl.DataFrame]:
    """The tables ``captions`` and ``caption_summary`` of one model, empty where it wrote none."""
    written = {fold: each for fold, each in kept.items() if each.generated is not None}
    places = [(fold, item) for fold, each in written.items() for item in range(each.items.height)]
    if not places:
        return {
            "captions": frame_of([], schemas.CAPTIONS),
            "caption_summary": frame_of([], schemas.CAPTION_SUMMARY),
        }
    generated = [text for each in written.values() for text in each.generated or []]
    references = [
        each.texts["text"].gather(right).to_list()
        for each in written.values()
        for right in each.right_texts
    ]
    items = pl.concat([each.items for each in written.values()])
    scores = measure_captions(
        generated, references, groups=items["group"].to_list(), resamples=resamples, seed=seed
    )
    rows = [
        {
            "model": model,
            "fold": fold,
            "item": items["item"][number],
            "group": items["group"][number],
            "generated": generated[number],
            "references": references[number],
            "metrics": [
                {"metric": name, "value": _number(scores.per_caption[name][number])}
                for name in CAPTION_METRICS
            ],
        }
        for number, (fold, _) in enumerate(places)
    ]
    told = {} if _are_enough(items["group"]) else {"low": None, "high": None}
    summary = [
        {"model": model, "metric": name, **vars(scores.corpus[name]), **told}
        for name in CAPTION_METRICS
    ]
    return {
        "captions": frame_of(rows, schemas.CAPTIONS),
        "caption_summary": frame_of(summary, schemas.CAPTION_SUMMARY),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

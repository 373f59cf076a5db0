"""Intervals of retrieval's measures are those of resamples that were copied out."""

import numpy as np
import polars as pl
import pytest

import reelfit
from reelfit.metrics.resampling import draw_each, middle, number_groups

DIRECTIONS = ("video_to_text", "text_to_video")


def made() -> tuple[np.ndarray, np.ndarray, list[int], list[str]]:
    draw = np.random.default_rng(3)
    text = draw.standard_normal((40, 12)).astype(np.float32)
    targets = draw.integers(40, size=150).tolist()
    video = (0.4 * text[targets] + draw.standard_normal((150, 12))).astype(np.float32)
    return video, text, targets, [f"patient {number // 4}" for number in range(150)]


def test_of_videos_they_are_those_of_copied_rows() -> None:
    *given, groups = made()
    found = reelfit.retrieval_metrics(*given, groups=groups, resamples=60, seed=5)
    queries = found.queries["video_to_text"]
    numbers = number_groups(groups)
    copied: dict[str, list[float]] = {"recall@5": [], "mrr": [], "median_rank": [], "map": []}
    for counts in draw_each(int(numbers.max()) + 1, resamples=60, seed=5):
        rows = queries[np.repeat(np.arange(150), counts[numbers].astype(int))]
        copied["recall@5"].append(rows["recall@5"].mean())
        copied["mrr"].append(rows["reciprocal_rank"].mean())
        copied["map"].append(rows["average_precision"].mean())
        copied["median_rank"].append(rows["rank"].median())
    for name, values in copied.items():
        interval = found.intervals["video_to_text"][name]
        assert interval == pytest.approx(middle(np.array(values)))


def test_a_text_counts_by_the_share_of_its_videos_that_are_drawn() -> None:
    video, text, targets, groups = made()
    found = reelfit.retrieval_metrics(video, text, targets, groups=groups, resamples=60)
    queries, numbers = found.queries["text_to_video"], number_groups(groups)
    values = []
    for counts in draw_each(int(numbers.max()) + 1, resamples=60, seed=0):
        weight = np.zeros(40)
        for row, target in enumerate(targets):
            weight[target] += counts[numbers[row]] / targets.count(target)
        known = queries["rank"].is_not_null().to_numpy()
        values.append(np.average(queries["rank"].to_numpy()[known], weights=weight[known]))
    interval = found.intervals["text_to_video"]["mean_rank"]
    assert interval == pytest.approx(middle(np.array(values)))


def test_they_hold_the_mean_and_every_measure_has_one_and_without_groups_there_are_none() -> None:
    *given, groups = made()
    found = reelfit.retrieval_metrics(*given, groups=groups, resamples=200)
    for way in DIRECTIONS:
        assert set(found.intervals[way]) == set(found[way])
        for name, value in found[way].items():
            low, high = found.intervals[way][name]
            assert low <= value <= high
    assert reelfit.retrieval_metrics(*given).intervals == {}
    assert isinstance(found.queries["video_to_text"], pl.DataFrame)

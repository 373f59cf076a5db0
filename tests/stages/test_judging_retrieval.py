"""The tables of retrieval and captions, from embeddings made here."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from reelfit.data import retrieval_tables as schemas
from reelfit.data.tables import check_table
from reelfit.metrics.captions import measure_captions
from reelfit.stages.judging_retrieval import judge_captions, judge_retrieval
from reelfit.stages.learners.kept import Kept, keep_embedded, keep_generated, read_kept
from reelfit.training.item_set import ItemTexts
from reelfit.training.paired import Embedded

ONE_EACH = [[0], [1], [2], [3]]


def kept_of(
    right: list[list[int]],
    *,
    seed: int,
    name: str = "item",
    skill: float = 1.0,
    groups: list[str] | None = None,
    generated: list[str] | None = None,
) -> Kept:
    """Items near the mean of their texts, by ``skill``."""
    generator = np.random.default_rng(seed)
    texts = generator.normal(size=(1 + max(map(max, right)), 8))
    videos = [skill * texts[rows].mean(0) + generator.normal(size=8) for rows in right]
    names = [f"{name} {number}" for number in range(len(right))]
    return Kept(
        items=pl.DataFrame({"target": range(len(right)), "item": names, "group": groups or names}),
        texts=pl.DataFrame({"text": [f"text {number}" for number in range(len(texts))]}),
        pairs=pl.DataFrame(
            [(item, row) for item, rows in enumerate(right) for row in rows],
            schema={"item": pl.Int64, "text": pl.Int64},
            orient="row",
        ),
        videos=np.array(videos, np.float32),
        text_features=texts.astype(np.float32),
        generated=generated,
    )


def judged(kept: dict[int, Kept], *, top: int = 3) -> dict[str, pl.DataFrame]:
    return judge_retrieval("one", kept, top=top, memory="64MiB", resamples=100, seed=0)


def value(frame: pl.DataFrame, direction: str, metric: str, column: str = "value") -> float:
    found = frame.filter(direction=direction, metric=metric)[column].item()
    assert isinstance(found, float)
    return found


@pytest.fixture(scope="module")
def folds() -> dict[int, Kept]:
    """Two of unlike size; texts of several items, items of several texts, groups of several."""
    first = [[0], [0, 1], [2], [3], [1], [4, 2], [5]]
    groups = ["a", "a", "b", "c", "b", "d", "e"]
    return {
        1: kept_of(first, seed=1, groups=groups),
        2: kept_of([[0], [1], [1], [2]], seed=2, name="other"),
    }


def test_every_table_keeps_its_schema(folds):
    found = judged(folds)
    assert set(found) == {
        *("retrieval_folds", "retrieval_summary", "retrieval_queries", "retrieval_top")
    }
    for name, frame in found.items():
        assert check_table(frame, getattr(schemas, name.upper()), name).equals(frame)
        assert frame.height


def test_values_over_folds_are_means_over_all_their_queries(folds):
    found = judged(folds)
    by_fold, summary, queries = (
        found[f"retrieval_{name}"] for name in ("folds", "summary", "queries")
    )
    for direction in ("video_to_text", "text_to_video"):
        ranks = queries.filter(direction=direction)["rank"].to_numpy()
        assert value(summary, direction, "recall@1") == np.mean(ranks <= 1)
        assert value(summary, direction, "median_rank") == np.median(ranks)
        assert value(summary, direction, "mrr") == pytest.approx(np.mean(1 / ranks))
        each = [value(by_fold.filter(fold=fold), direction, "mrr") for fold in folds]
        assert value(summary, direction, "mrr", "mean") == pytest.approx(np.mean(each))
        spread = value(summary, direction, "mrr", "standard_deviation")
        assert spread == pytest.approx(np.std(each, ddof=1))
        low, high = (value(summary, direction, "mrr", bound) for bound in ("low", "high"))
        assert low < value(summary, direction, "mrr") < high


def test_queries_are_ranked_among_the_answers_of_their_own_fold(folds):
    queries = judged(folds)["retrieval_queries"]
    known = {(1, "video_to_text"): 6, (1, "text_to_video"): 7,
             (2, "video_to_text"): 3, (2, "text_to_video"): 4}  # fmt: skip
    for (fold, direction), answers in known.items():
        here = queries.filter(fold=fold, direction=direction)
        assert set(here["answers"]) == {answers}
        assert here["rank"].max() <= answers
    right = queries.filter(fold=1, direction="text_to_video").sort("query")["right"]
    assert right.to_list() == [2, 2, 2, 1, 1, 1]
    groups = queries.filter(fold=1, direction="video_to_text").sort("query")["group"]
    assert groups.to_list() == ["a", "a", "b", "c", "b", "d", "e"]
    of_texts = queries.filter(fold=1, direction="text_to_video").sort("query")["group"]
    assert of_texts.to_list() == ["a", "a", "b", "c", "d", "e"]  # that of a text's first item


def test_as_many_answers_are_kept_as_asked_though_the_other_side_has_fewer():
    found = judged({1: kept_of([[0], [1], [0], [1], [0]], seed=3)}, top=4)["retrieval_top"]
    of_texts = found.filter(direction="text_to_video")
    assert of_texts.group_by("query").len()["len"].to_list() == [4, 4]
    of_videos = found.filter(direction="video_to_text")
    assert of_videos.group_by("query").len()["len"].to_list() == [2] * 5
    for (_, _query), rows in found.group_by("direction", "query"):
        assert rows.sort("place")["score"].is_sorted(descending=True)
        assert rows.sort("place")["place"].to_list() == list(range(1, rows.height + 1))


def test_chance_is_what_random_orders_reach(folds):
    """Of each query all orders of its answers, or 20,000 of them."""
    found, generator = judged(folds), np.random.default_rng(0)
    queries, summary = found["retrieval_queries"], found["retrieval_summary"]
    for direction in ("video_to_text", "text_to_video"):
        facts = queries.filter(direction=direction).select("right", "answers").rows()
        for k in (1, 5):
            reached = []
            for right, answers in facts:
                if answers <= 6:
                    orders = np.array(list(itertools.permutations(range(answers))))
                else:
                    orders = np.array([generator.permutation(answers) for _ in range(20_000)])
                reached.append((orders[:, :k] < right).any(1).mean())
            told = value(summary, direction, f"recall@{k}", "chance")
            assert told == pytest.approx(np.mean(reached), abs=0.005)
        assert value(summary, direction, "recall@10", "chance") == 1.0
    assert summary.filter(metric="mrr")["chance"].to_list() == [None, None]


def test_there_is_no_interval_of_fewer_than_five_groups():
    few = kept_of([[0], [1], [2], [3], [4]], seed=8, groups=list("aabcd"), generated=["text"] * 5)
    enough = kept_of([[0], [1], [2], [3], [4]], seed=8, generated=["text"] * 5)
    for kept, known in ((few, False), (enough, True)):
        found = judged({1: kept})
        found |= judge_captions("one", {1: kept}, resamples=100, seed=0)
        for name in ("retrieval_folds", "retrieval_summary", "caption_summary"):
            rows = found[name]
            if "direction" in rows.columns:
                rows = rows.filter(pl.col("direction") != "both")
            assert rows["value"].null_count() == 0
            assert rows["low"].is_not_null().all() == known
            assert rows["low"].is_null().all() != known
    together = judged({1: few, 2: kept_of([[0]], seed=9, name="other")})
    assert value(together["retrieval_summary"], "text_to_video", "mrr", "low") > 0


@pytest.mark.parametrize("right", [[[0]], [[0], [0], [0]], [[0, 1]]])
def test_one_item_or_one_text_is_judged(right):
    found = judged({1: kept_of(right, seed=4)})
    summary = found["retrieval_summary"]
    assert value(summary, "video_to_text", "recall@1") == 1.0
    assert summary["standard_deviation"].null_count() == summary.height
    for name, frame in found.items():
        check_table(frame, getattr(schemas, name.upper()), name)


def test_what_is_judged_does_not_depend_on_the_order_of_folds(folds):
    turned = judged(dict(reversed(folds.items())))
    for name, frame in judged(folds).items():
        keys = [each for each in frame.columns[:6] if frame[each].dtype != pl.Float64]
        floats = {"value", "mean"} & set(frame.columns)
        one, other = (table.sort(keys) for table in (frame, turned[name]))
        assert one.drop(*floats, "low", "high", "standard_deviation", strict=False).equals(
            other.drop(*floats, "low", "high", "standard_deviation", strict=False)
        )
        for column in floats:
            np.testing.assert_allclose(
                one[column].cast(pl.Float64), other[column].cast(pl.Float64), rtol=1e-12
            )


def test_what_a_fold_keeps_is_read_as_it_was(tmp_path: Path):
    generator = np.random.default_rng(5)
    embedded = Embedded(
        generator.normal(size=(3, 4)).astype(np.float32),
        generator.normal(size=(2, 4)).astype(np.float32),
        0.5,
    )
    texts = ItemTexts(
        first=np.array([0, 1, 3, 4]),
        rows=np.array([0, 0, 1, 1]),
        numbers=np.zeros(3, np.int64),
        tokens=torch.zeros(2, 3, dtype=torch.int64),
        texts=["one", "two"],
    )
    rows = pl.DataFrame(
        {"target": [0, 0, 1, 2], "label": ["a", "a", "b", "c"], "group": ["g", "g", "h", "h"]}
    )
    keep_embedded(tmp_path, rows, texts, embedded)
    found = read_kept(tmp_path)
    assert found.items["item"].to_list() == ["a", "b", "c"]
    assert found.items["group"].to_list() == ["g", "h", "h"]
    assert found.right_texts == [[0], [0, 1], [1]]
    assert np.array_equal(found.videos, embedded.videos)
    assert np.array_equal(found.text_features, embedded.texts)
    assert found.generated is None
    keep_generated(tmp_path, ["x", "", "z"])
    assert read_kept(tmp_path).generated == ["x", "", "z"]


def test_captions_are_measured_over_the_items_of_all_folds():
    kept = {
        1: kept_of([[0, 1], [1]], seed=6, generated=["text 0", "a text 1"]),
        2: kept_of(ONE_EACH, seed=7, name="other", generated=["", "text 1", "text", "text 3"]),
    }
    found = judge_captions("one", kept, resamples=100, seed=0)
    captions = check_table(found["captions"], schemas.CAPTIONS, "captions")
    assert captions["fold"].to_list() == [1, 1, 2, 2, 2, 2]
    assert captions["references"].to_list()[:2] == [["text 0", "text 1"], ["text 1"]]
    groups = [group for each in kept.values() for group in each.items["group"]]
    scores = measure_captions(
        captions["generated"].to_list(),
        captions["references"].to_list(),
        groups=groups,
        seed=0,
        resamples=100,
    )
    summary = check_table(found["caption_summary"], schemas.CAPTION_SUMMARY, "caption_summary")
    for metric, told in summary.select("metric", "value").iter_rows():
        assert told == scores.corpus[metric].value
    rouge = [dict(map(dict.values, each))["rouge_l"] for each in captions["metrics"]]
    assert rouge[0] == 1.0
    assert rouge[2] == 0.0


def test_a_model_that_writes_no_captions_has_empty_tables_of_them(folds):
    for name, frame in judge_captions("one", folds, resamples=100, seed=0).items():
        assert check_table(frame, getattr(schemas, name.upper()), name).is_empty()

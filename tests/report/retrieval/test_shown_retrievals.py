from typing import Any

import numpy as np
import polars as pl
import pytest
from retrieval_run import made

from reelfit.data.retrieval_tables import RETRIEVAL_QUERIES, RETRIEVAL_TOP
from reelfit.report import RetrievalContent
from reelfit.report.retrieval import best_and_worst, caption_samples

FOUND = {
    # item: its text, its rank, and the scores of right and best wrong
    "a": ("circle", 1.0, 0.9, 0.1),
    "b": ("circle", 1.0, 0.8, 0.1),
    "c": ("square", 1.0, 0.5, 0.4),
    "d": ("star", 3.0, 0.1, 0.6),
    "e": ("star", 9.0, None, 0.9),
    "f": ("cross", 2.0, 0.5, 0.6),
}


def videos_of(item: str) -> list[tuple[str, np.ndarray]]:
    return [(f"{item}.mp4", np.full((2, 3, 8, 8), ord(item), np.uint8))]


@pytest.fixture
def run() -> dict[str, Any]:
    queries, top, texts = [], [], []
    for item, (text, rank, right, wrong) in FOUND.items():
        facts = ("m", 1, "video_to_text", item)
        queries.append((*facts, "g", rank, 1, 12))
        answers = [(score, kind) for score, kind in ((right, True), (wrong, False)) if score]
        for place, (score, kind) in enumerate(sorted(answers, reverse=True), start=1):
            top.append((*facts, place, text if kind else "other", score, kind))
        texts.append((item, text))
    queries.append(("m", 1, "text_to_video", "circle", "g", 7.0, 1, 12))
    queries.append(("n", 1, "video_to_text", "a", "g", 12.0, 1, 12))
    return {
        "queries": made(queries, RETRIEVAL_QUERIES),
        "top": made(top, RETRIEVAL_TOP),
        "texts": pl.DataFrame(texts, schema=["item", "text"], orient="row"),
        "frames_of": videos_of,
    }


def test_the_best_have_the_widest_margin_and_the_worst_the_last_rank(run: dict[str, Any]):
    best, worst = best_and_worst("m", **run, shown=2)
    assert [one.item for one in best] == ["a", "c"]  # b is right by the same text as a
    assert [(one.item, one.rank) for one in worst] == [("e", 9.0), ("f", 2.0)]
    assert best[0].texts == ["circle"]
    assert [tuple(answer) for answer in best[0].answers] == [
        ("circle", 0.9, True),
        ("other", 0.1, False),
    ]
    assert best[0].videos[0].path == "a.mp4"
    assert (best[0].videos[0].frames == ord("a")).all()


def test_where_more_are_wanted_the_same_texts_come_again(run: dict[str, Any]):
    best, worst = best_and_worst("m", **run, shown=9)
    assert [one.item for one in best] == ["a", "c", "b"]
    assert [one.item for one in worst] == ["e", "f", "d"]


def test_the_order_of_the_tables_changes_nothing(run: dict[str, Any]):
    turned = run | {name: run[name].reverse() for name in ("queries", "top")}
    picked = [[one.item for one in both] for both in best_and_worst("m", **run)]
    assert [[one.item for one in both] for both in best_and_worst("m", **turned)] == picked


def test_captions_are_shown_from_the_best_to_the_worst(retrieval: RetrievalContent):
    assert retrieval.captions is not None
    how = {"captions": retrieval.captions, "metric": "cider", "frames_of": videos_of}
    values = {
        row["item"]: next(one["value"] for one in row["metrics"] if one["metric"] == "cider")
        for row in retrieval.captions.filter(model="naive_cnn").to_dicts()
    }
    samples = caption_samples(
        "naive_cnn", **how | {"frames_of": lambda item: videos_of("x")}, shown=5
    )
    shown = [values[sample.item] for sample in samples]
    assert shown == sorted(shown, reverse=True)
    assert (shown[0], shown[-1]) == (max(values.values()), min(values.values()))
    assert len(samples) == 5
    assert len(caption_samples("naive_cnn", **how | {"frames_of": lambda _: []}, shown=99)) == 36
    assert caption_samples("no model", **how) == []

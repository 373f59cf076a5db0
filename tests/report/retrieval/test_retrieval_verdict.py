from dataclasses import replace

import polars as pl
import pytest

from reelfit.report import RetrievalContent
from reelfit.report.retrieval.ranking import best_folds, ranked
from reelfit.report.retrieval.verdict import retrieval_verdict

FIRST = pl.col("metric") == "recall@1"


def bounded(
    content: RetrievalContent, *, to_text: tuple, to_video: tuple, models: tuple[str, ...] = ()
) -> RetrievalContent:
    """The content with these bounds of R@1 in the two directions, of all models or of some."""
    summary = content.summary
    for direction, (low, high) in (("video_to_text", to_text), ("text_to_video", to_video)):
        named = pl.col("model").is_in(models) if models else pl.lit(True)
        here = FIRST & (pl.col("direction") == direction) & named
        summary = summary.with_columns(
            low=pl.when(here).then(pl.lit(low, pl.Float64)).otherwise(pl.col("low")),
            high=pl.when(here).then(pl.lit(high, pl.Float64)).otherwise(pl.col("high")),
        )
    return replace(content, summary=summary)


ABOVE, ACROSS, BELOW, UNKNOWN = (0.8, 0.9), (0.01, 0.9), (0.0, 0.01), (None, None)


@pytest.mark.parametrize(
    ("to_text", "to_video", "claim"),
    [
        (ABOVE, ABOVE, "r2plus1d is better than chance in both directions: R@1"),
        (ACROSS, ABOVE, "r2plus1d is better than chance, but only from text to video: R@1"),
        (ACROSS, ACROSS, "No model is shown to be better than chance: the highest is that of r2"),
        (BELOW, BELOW, "r2plus1d is worse than chance: R@1"),
        (UNKNOWN, UNKNOWN, "r2plus1d has the best score: R@1"),
    ],
)
def test_the_claim_goes_no_further_than_the_intervals(
    retrieval: RetrievalContent, to_text: tuple, to_video: tuple, claim: str
):
    said = retrieval_verdict(bounded(retrieval, to_text=to_text, to_video=to_video))
    assert said.headline.startswith(claim)


def test_one_model_that_is_not_shown_to_beat_chance_is_said_so(one_retrieves: RetrievalContent):
    summary = one_retrieves.summary.with_columns(chance=pl.lit(0.3))
    content = replace(one_retrieves, summary=summary)
    said = retrieval_verdict(bounded(content, to_text=ACROSS, to_video=ACROSS))
    assert said.headline.startswith("r2plus1d is not shown to be better than chance: R@1")
    assert "picked as the best" not in " ".join(said.sentences)


def test_the_value_its_interval_and_chance_are_told(retrieval: RetrievalContent):
    said = retrieval_verdict(retrieval)
    rows = retrieval.summary.filter(FIRST, model="r2plus1d").to_dicts()
    for row in rows:
        assert f"{row['value']:.3f} (" in said.headline
        assert f"{row['low']:.3f} to {row['high']:.3f})" in said.headline
        assert f"{row['chance']:.3f}" in " ".join(said.sentences)
    assert "36 items of 24 groups and 18 texts" in said.sentences[0]


def test_a_model_behind_the_first_that_beats_chance_is_named(retrieval: RetrievalContent):
    unsure = bounded(retrieval, to_text=ACROSS, to_video=ACROSS, models=("r2plus1d", "cnn_gru"))
    said = retrieval_verdict(unsure)
    assert said.headline.startswith("r2plus1d is not shown to be better than chance: R@1")
    assert "Shown to be better than chance: naive_cnn." in said.sentences


def test_models_whose_intervals_overlap_are_named(retrieval: RetrievalContent):
    said = " ".join(retrieval_verdict(retrieval).sentences)
    assert "Its intervals overlap those of cnn_gru in at least one direction." in said
    apart = bounded(retrieval, to_text=(0.93, 0.99), to_video=(0.95, 0.99), models=("r2plus1d",))
    said = " ".join(retrieval_verdict(apart).sentences)
    assert "Its intervals lie above those of every other model." in said


def test_the_best_model_is_that_of_the_mean_of_both_directions(retrieval: RetrievalContent):
    assert ranked(retrieval) == ["r2plus1d", "cnn_gru", "naive_cnn"]
    lost = FIRST & (pl.col("model") == "r2plus1d") & (pl.col("direction") == "text_to_video")
    other = retrieval.summary.with_columns(value=pl.when(lost).then(0.0).otherwise(pl.col("value")))
    assert ranked(replace(retrieval, summary=other))[0] == "cnn_gru"
    assert best_folds(retrieval).keys() == set(ranked(retrieval))


def test_without_a_measured_first_place_there_is_no_verdict(retrieval: RetrievalContent):
    none = replace(retrieval, summary=retrieval.summary.filter(~FIRST))
    assert retrieval_verdict(none).headline == "No model has an R@1 in both directions."

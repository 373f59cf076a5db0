from dataclasses import replace

import polars as pl
import pytest

from reelfit.data.evaluation_tables import COMPARISON, frame_of
from reelfit.report import ReportContent
from reelfit.report.verdict import verdict
from reelfit.report.wording import count, duration, interval, listed, number, p_value

HANDCRAFTED = "handcrafted_logistic"


def with_interval(content: ReportContent, low: float | None, high: float | None) -> ReportContent:
    summary = content.summary.with_columns(
        low=pl.lit(low, pl.Float64), high=pl.lit(high, pl.Float64)
    )
    return replace(content, summary=summary)


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (0.51, 0.9, "is better than chance"),
        (0.45, 0.9, "is not shown to be better than chance"),
        (0.1, 0.4, "is worse than chance"),
        (None, None, "has the best score"),
    ],
)
def test_the_claim_goes_no_further_than_the_interval(
    content: ReportContent, low: float | None, high: float | None, claim: str
):
    said = verdict(with_interval(content, low, high))
    assert claim in said.headline
    assert said.headline.startswith("r2plus1d")


def compared(
    content: ReportContent, p_values: dict[str, float], *, against_control: float = 0.001
) -> ReportContent:
    """The content with these adjusted p-values of the best model against the others."""
    rows = [
        pair
        | {"adjusted_p_groups": p_values.get(pair["second"], 1.0), "difference": 0.1}
        | ({"adjusted_p_groups": against_control} if pair["against"] == "control" else {})
        for pair in content.evaluation.comparison.to_dicts()
        if pair["first"] == "r2plus1d" or pair["against"] == "control" or not p_values
    ]
    table = frame_of(rows, COMPARISON)
    return replace(content, evaluation=replace(content.evaluation, comparison=table))


def leaking(content: ReportContent) -> ReportContent:
    facts = content.evaluation.control_facts.with_columns(
        value=pl.lit(0.9), low=pl.lit(0.8), high=pl.lit(0.95)
    )
    return replace(content, evaluation=replace(content.evaluation, control_facts=facts))


def test_a_model_that_beats_all_others_after_correction_is_said_to(content: ReportContent):
    said = verdict(compared(content, {"naive_cnn": 0.01, HANDCRAFTED: 0.001}))
    assert said.headline.startswith(
        "r2plus1d is better than chance and than every other model: ROC AUC"
    )
    assert "is better than naive_cnn and handcrafted_logistic, after" in " ".join(said.sentences)


def test_where_no_difference_is_shown_no_model_is_better_than_the_first(content: ReportContent):
    said = verdict(compared(content, {}))
    assert said.headline.startswith(
        "No model is shown to be better than handcrafted_logistic: ROC AUC"
    )
    assert "do not show it to be better than any other model" in " ".join(said.sentences)


def test_what_is_not_told_apart_from_the_best_is_named(content: ReportContent):
    said = verdict(compared(content, {HANDCRAFTED: 0.001}))
    assert said.headline.startswith("r2plus1d is better than chance: ROC AUC")
    assert "These videos do not tell it from naive_cnn." in " ".join(said.sentences)


def test_labels_that_leak_are_told_with_the_facts_and_who_is_better(content: ReportContent):
    sentences = " ".join(verdict(leaking(content)).sentences)
    assert "The labels leak through metadata" in sentences
    assert "most of all through bit rate" in sentences
    assert "3 of 3 models" in " ".join(verdict(compared(leaking(content), {})).sentences)
    assert "no leak through them is shown" in " ".join(verdict(content).sentences)


def test_a_model_no_better_than_its_container_facts_is_no_success(content: ReportContent):
    said = verdict(compared(leaking(content), {}, against_control=0.6))
    assert said.headline.startswith(
        "No model is shown to be better than container facts alone: r2plus1d has"
    )


def test_the_best_of_several_is_said_to_be_picked_on_the_same_videos(
    content: ReportContent, bare: ReportContent
):
    assert "picked as the best of 3" in " ".join(verdict(content).sentences)
    assert "picked" not in " ".join(verdict(bare).sentences)


def test_numbers_are_written_as_people_write_them():
    assert number(1234.5, 0) == "1,234"
    assert number(None) == number(float("nan")) == "—"
    assert interval(0.5, None) == ""
    assert [p_value(0.0004), p_value(0.04), p_value(None)] == ["< 0.001", "0.040", "—"]
    assert [listed(["a"]), listed(["a", "b", "c"])] == ["a", "a, b and c"]
    assert [count(1, "process"), count(2, "process"), count(1200, "video")] == [
        "1 process",
        "2 processes",
        "1,200 videos",
    ]
    assert [duration(8.24), duration(59.99), duration(7500)] == [
        "8.2 s",
        "1 min 00 s",
        "2 h 05 min",
    ]

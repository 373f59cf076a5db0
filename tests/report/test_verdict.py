from dataclasses import replace

import polars as pl
import pytest

from reelfit.report import ReportContent
from reelfit.report.verdict import verdict
from reelfit.report.wording import count, duration, interval, number


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


def test_intervals_that_overlap_settle_nothing(content: ReportContent):
    assert "the intervals overlap" in " ".join(verdict(content).sentences)


def test_the_best_of_several_is_said_to_be_picked_on_the_same_videos(
    content: ReportContent, bare: ReportContent
):
    assert "picked as the best of 3" in " ".join(verdict(content).sentences)
    assert "picked" not in " ".join(verdict(bare).sentences)


def test_numbers_are_written_as_people_write_them():
    assert number(1234.5, 0) == "1,234"
    assert number(None) == number(float("nan")) == "—"
    assert interval(0.5, None) == ""
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

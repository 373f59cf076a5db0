"""What models reach on other sets stands in the report where there are any, and only there."""

import dataclasses

import pytest

from reelfit.data.evaluation_tables import EVALUATE_ON, OTHERS_REJECTED, frame_of
from reelfit.report import OtherSet, ReportContent, render_markdown, render_page

METRICS = ("roc_auc", "brier_score")


@pytest.fixture
def across(content: ReportContent) -> ReportContent:
    """One set that two of three models were judged on, and one of which nothing is left."""
    facts = {"other": "lab", "videos": 20, "groups": 10, "remark": ""}
    bounds = {"low": 0.55, "high": 0.75, "drop": 0.2, "drop_low": 0.05, "drop_high": 0.3}
    results = [
        {**facts, "model": model, "way": way, "metric": metric, "value": 0.65, **bounds}
        | {"out_of_fold": 0.85}
        for model in ("naive_cnn", "r2plus1d")
        for way in ("each", "together")
        for metric in METRICS
    ]
    rejected = [
        ("lab", "<b>.mp4", 3, "duplicates", "it looks like a video of the study", "a.mp4", False),
        ("lab", "text.mp4", 5, "index", "not a video", "", False),
    ]
    rows = [dict(zip(OTHERS_REJECTED.columns, row, strict=True)) for row in rejected]
    nothing = frame_of([], EVALUATE_ON)
    lost = frame_of([dict(rows[1], other="none")], OTHERS_REJECTED)
    others = (
        OtherSet("lab", frame_of(results, EVALUATE_ON), frame_of(rows, OTHERS_REJECTED), 2),
        OtherSet("none", nothing, lost),
    )
    return dataclasses.replace(content, others=others)


def test_each_model_stands_with_its_drop(across: ReportContent) -> None:
    text = render_markdown(across)
    section = text[text.index("## On other videos: lab") : text.index("## Comparison")]
    assert "judged on 20 videos of 10 groups" in section
    assert "1 video left out" in section
    assert "1 row could not be used" in section
    assert "called like a group of the study: 2" in section
    assert "Not judged on it: handcrafted_logistic" in section
    line = next(row for row in section.splitlines() if row.startswith("| ROC AUC | r2plus1d"))
    assert "| 0.650 (0.550 to 0.750) | 0.850 (" in line
    assert "| **0.200** (0.050 to 0.300) |" in line
    assert "No model could be judged on it: no video is left." in section


def test_the_page_has_it_escaped_and_only_where_there_is_another_set(
    across: ReportContent, content: ReportContent
) -> None:
    page = render_page(across)
    assert '<h2 id="others">On other videos</h2>' in page
    assert '<a href="#others">' in page
    assert "<b>.mp4" not in page
    assert "On other videos" not in render_page(content)
    assert "On other videos" not in render_markdown(content)

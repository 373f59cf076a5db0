"""What the report says of videos that look alike."""

from dataclasses import replace

import polars as pl

from reelfit.report import ReportContent, render_markdown, render_page
from reelfit.report.duplicates import (
    PAIRS_SHOWN,
    duplicates_pictures,
    duplicates_table,
    duplicates_words,
    ordered_pairs,
)
from reelfit.report.history import decisions


def test_pairs_of_different_labels_are_told_first(content: ReportContent):
    first, second, third = duplicates_words(content, labelled=True)
    assert first.startswith("1 pair with different labels: ")
    assert "forgeries" in first
    assert second.startswith(
        "2 pairs of videos look alike; they tie 3 groups of the table into 2. "
    )
    assert third.startswith("1 row of the table has the content of another")
    rows = duplicates_table(content, labelled=True).rows
    assert [row[0].text for row in rows] == [
        "videos/source_00_pristine.mp4",
        "videos/source_10_pristine.mp4",
        "videos/source_05_pristine.mp4",
    ]
    assert [row[2].text for row in rows] == ["look, with different labels", "content", "look"]
    assert rows[0][2].strong


def test_pairs_inside_one_group_are_told_as_such(content: ReportContent):
    inside = content.duplicates.filter(pl.col("group") == pl.col("other_group"))
    (_, words) = duplicates_words(replace(content, duplicates=inside), labelled=True)
    assert words.startswith("1 pair of videos look alike, each of two in one group of the table.")


def test_both_forms_of_the_report_list_the_pairs(content: ReportContent, bare: ReportContent):
    page, text = render_page(content), render_markdown(content)
    section = page[page.index('<h2 id="duplicates">') : page.index('<h2 id="folds">')]
    assert section.count('src="data:image/jpeg;base64,') == 4
    assert section.count("has <b>another label</b>") == 2
    assert "videos/again.mp4" in text
    assert "they tie 3 groups" in text
    assert "No two videos are the same" in render_page(bare)
    assert "## Videos that look alike\n\nNone." in render_markdown(bare)


def test_the_pictures_are_bounded_in_number_and_bytes(content: ReportContent):
    noise = content.look_alikes[0]
    many = replace(content, look_alikes=[noise] * 100)
    shown = duplicates_pictures(many, labelled=True)
    assert len(shown) == PAIRS_SHOWN
    pictures = [video["picture"] for pair in shown for video in pair["videos"]]
    assert {picture.shown for picture in pictures} == {4}
    assert sum(len(picture.address) for picture in pictures) < 2**20


def test_labels_come_before_groups_and_groups_before_distance(content: ReportContent):
    told = [("a", "a", "1", "1", 0), ("a", "a", "1", "2", 6), ("a", "b", "1", "1", 6)]
    names = ["label", "other_label", "group", "other_group", "distance"]
    pairs = pl.DataFrame(told, schema=names, orient="row").with_columns(
        path=pl.lit("p"), other_path=pl.lit("q")
    )
    assert ordered_pairs(pairs).select(names).rows() == told[::-1]


def test_what_was_joined_is_a_decision_that_is_told():
    event = {"event": "split", "duplicates": 0, "look_alikes": 3, "joined": 1}
    (said,) = decisions([event | {"largest": 4, "videos": 20}])
    assert said == (
        "3 pairs of videos look alike and stay together, which leaves 1 group fewer; the largest "
        "has 4 of 20 videos."
    )
    assert decisions([event | {"joined": 0}]) == []


def test_where_a_label_is_no_class_nothing_is_said_of_labels(content: ReportContent):
    told = " ".join(duplicates_words(content, labelled=False))
    assert "label" not in told
    assert "look alike" in told
    table = duplicates_table(content, labelled=False)
    assert {row[2].text for row in table.rows} == {"look", "content"}
    assert not any(pair["differ"] for pair in duplicates_pictures(content, labelled=False))

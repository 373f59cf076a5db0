"""Videos with texts, from tables with any separator: items, their texts and their sides."""

import time
from pathlib import Path

import polars as pl
import pytest

from reelfit.data.listing import Listing, read_listing, read_text_listing
from reelfit.errors import StudyError

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
ROWS = [
    ("a1.mp4", "a disc, red", "a", "p1", "train"),
    ("a1.mp4", 'called "round"', "a", "p1", "train"),
    ("a2.mp4", "a disc, red", "a", "p1", "train"),
    ("b.mp4", "a square", "b", "p2", "test"),
    ("c.mp4", "a square", "c", "p1", "train"),
]
FRAME = pl.DataFrame(ROWS, schema=["path", "text", "study", "patient", "split"], orient="row")


def listed(folder: Path, frame: pl.DataFrame = FRAME, **asked) -> Listing:
    frame.write_csv(folder / "videos.csv")
    return read_text_listing(table=folder / "videos.csv", **asked)


def changed(row: int, **cells: str) -> pl.DataFrame:
    rows = FRAME.to_dicts()
    rows[row] |= cells
    return pl.DataFrame(rows)


def test_items_have_all_texts_and_all_videos_of_their_rows(tmp_path):
    found = listed(tmp_path, item="study", group="patient")
    assert found.rows.select("row", "path", "label", "group").rows() == [
        (1, "a1.mp4", "a", "p1"),
        (3, "a2.mp4", "a", "p1"),
        (4, "b.mp4", "b", "p2"),
        (5, "c.mp4", "c", "p1"),
    ]
    assert found.texts.rows() == [
        ("a", "a disc, red"),
        ("a", 'called "round"'),
        ("b", "a square"),
        ("c", "a square"),
    ]
    assert found.classes == []
    assert found.repeated.is_empty()


def test_without_items_each_video_is_its_own_and_without_groups_each_item_is_one(tmp_path):
    found = listed(tmp_path)
    assert found.rows["label"].to_list() == found.rows["path"].to_list()
    assert found.rows["group"].to_list() == found.rows["label"].to_list()
    assert found.texts.rows()[2] == ("a2.mp4", "a disc, red")


def test_a_row_is_left_out_only_where_both_its_path_and_its_text_are_there_before(tmp_path):
    found = listed(tmp_path, pl.concat([FRAME, FRAME[1:2]]), item="study")
    assert found.repeated.rows() == [
        (6, "a1.mp4", "the same path and text stand in an earlier row")
    ]
    assert found.texts.equals(listed(tmp_path, item="study").texts)


@pytest.mark.parametrize("separator", [ALPHA, ";", "||", "日本", "\t|"])
def test_any_separator_gives_the_same_listing_even_where_it_stands_in_a_cell(tmp_path, separator):
    frame = changed(0, text=f"a disc{separator}red")
    cells = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in frame.rows()]
    for row in cells:
        row[1] = row[1].replace('called "round"', '"called ""round"""')
    lines = [separator.join(cells) for cells in [frame.columns, *cells]]
    (tmp_path / "odd.txt").write_text("\n".join(lines), encoding="utf-8")
    how = {"item": "study", "group": "patient", "split": "split"}
    found = read_text_listing(table=tmp_path / "odd.txt", separator=separator, **how)
    wanted = listed(tmp_path, frame, **how)
    assert found.rows.equals(wanted.rows)
    assert found.texts.equals(wanted.texts)
    assert found.digest == wanted.digest


def test_a_table_of_classes_may_have_any_separator_too(tmp_path):
    (tmp_path / "a.csv").write_text("path;label\na.mp4;x\nb.mp4;y\n".replace(";", ALPHA))
    assert read_listing(table=tmp_path / "a.csv", folder=None, separator=ALPHA).classes == [
        "x",
        "y",
    ]


def test_the_digest_covers_texts_items_groups_and_splits(tmp_path):
    how = {"item": "study", "group": "patient", "split": "split"}
    digests = [
        listed(tmp_path, frame, **how).digest
        for frame in (
            FRAME,
            changed(1, text="round"),
            changed(4, study="d"),
            changed(3, patient="p3"),
            changed(3, split="validation"),
        )
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        ({"row": 2, "text": " "}, {}, "row 3: the column text is empty"),
        ({"row": 2, "study": ""}, {"item": "study"}, "row 3: the column study is empty"),
        (
            {"row": 1, "study": "b"},
            {"item": "study"},
            "a1.mp4 has different items in the rows 1, 2",
        ),
        (
            {"row": 2, "patient": "p2"},
            {"item": "study", "group": "patient"},
            "a has different groups in the rows 1, 2, 3.*one item belongs to one group",
        ),
        (
            {"row": 4, "split": "test"},
            {"item": "study", "group": "patient", "split": "split"},
            r"1 groups stand on both sides: p1 \(row 1: train, row 5: test\)",
        ),
        (
            {"row": 1, "split": "val"},
            {"split": "split"},
            r"1 videos stand on both sides.*row 1: train, row 2: validation",
        ),
        ({"row": 2, "split": "tset"}, {"split": "split"}, r"row 3 \(a2.mp4\).*tset is no split"),
        ({"row": 2, "split": ""}, {"split": "split"}, "row 3: the column split is empty"),
        ({"row": 3, "split": "train"}, {"split": "split"}, "no row says validation"),
        ({"row": 3, "split": "2"}, {"split": "split"}, r"row 4 \(b.mp4\).*2 is no split"),
        (
            {"row": 0},
            {"split": "splt"},
            "folds.column: there is no column splt; did you mean split",
        ),
        ({"row": 0}, {"text": "txt"}, "videos.text: there is no column txt; did you mean text"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_rows(tmp_path, change, how, said):
    with pytest.raises(StudyError, match=said):
        listed(tmp_path, changed(**change), **how)


def of_split(folder: Path, *words: str) -> Listing:
    frame = pl.DataFrame({"path": [f"{n}.mp4" for n in range(len(words))], "split": words})
    frame.with_columns(label=pl.Series(["x", "y"] * (len(words) // 2))).write_csv(folder / "v.csv")
    return read_listing(table=folder / "v.csv", folder=None, split="split")


def test_test_is_judged_train_never_and_validation_left_out_with_that_reason(tmp_path):
    found = of_split(tmp_path, "train", "Train ", "TEST", "test", "val", "validation")
    assert found.folds["fold"].to_list() == [0, 0, 1, 1]
    assert found.judged_folds(None) == [1]
    assert found.repeated["row"].to_list() == [5, 6]
    assert set(found.repeated["reason"]) == {"its split is validation, and test is what is judged"}


def test_validation_is_judged_where_there_is_no_test(tmp_path):
    found = of_split(tmp_path, "train", "train", "val", "valid")
    assert found.folds["fold"].to_list() == [0, 0, 1, 1]
    assert found.repeated.is_empty()


def test_whole_numbers_are_folds_in_their_order_from_one_on(tmp_path):
    found = of_split(tmp_path, "0", "10", "2", "2", "0", "10.0")
    assert found.folds["fold"].to_list() == [1, 3, 2, 2, 1, 3]
    assert found.judged_folds(None) == [1, 2, 3]


@pytest.mark.parametrize("numbers", [["3"] * 4, [str(n) for n in range(102)]])
def test_one_number_or_a_hundred_and_more_are_no_folds(tmp_path, numbers):
    with pytest.raises(StudyError, match=f"{len(set(numbers))} different numbers"):
        of_split(tmp_path, *numbers)


def test_twenty_thousand_rows_take_a_second_or_two(tmp_path):
    numbers = pl.int_range(20_000, eager=True)
    frame = pl.DataFrame(
        {
            "path": "v" + numbers.cast(pl.String) + ".mp4",
            "text": "text " + (numbers % 4000).cast(pl.String),
            "study": "s" + (numbers // 2).cast(pl.String),
            "patient": "p" + (numbers // 8).cast(pl.String),
            "split": pl.Series([str(n // 8 % 5) for n in range(20_000)]),
        }
    )
    began = time.process_time()
    found = listed(tmp_path, frame, item="study", group="patient", split="split")
    assert time.process_time() - began < 5
    assert found.texts.height == 20_000
    assert found.folds["fold"].n_unique() == 5

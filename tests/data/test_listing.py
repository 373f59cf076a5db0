"""Whatever form the user's list has, the same videos give the same rows in the same order."""

from pathlib import Path

import polars as pl
import pytest

from reelfit.data.listing import Listing, read_listing
from reelfit.errors import StudyError

VIDEOS = {"fake/a, b.mp4": "fake", "fake/日本 1.mp4": "fake", 'real/say "hi".mp4': "real"}
FRAME = pl.DataFrame({"path": list(VIDEOS), "label": list(VIDEOS.values())})
CSV = FRAME.write_csv()


def listed(
    folder: Path, content: str | bytes = CSV, *, name: str = "videos.csv", **asked
) -> Listing:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_listing(table=folder / name, folder=None, **asked)


def rows_of(*labels: str) -> str:
    return "path,label\n" + "".join(f"{n}.mp4,{label}\n" for n, label in enumerate(labels))


def test_csv_tsv_parquet_and_folders_give_the_same_listing(tmp_path):
    for path in VIDEOS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    from_folder = read_listing(table=None, folder=tmp_path)
    FRAME.write_parquet(tmp_path / "videos.parquet")
    for found in (
        listed(tmp_path),
        listed(tmp_path, FRAME.write_csv(separator="\t"), name="videos.tsv"),
        read_listing(table=tmp_path / "videos.parquet", folder=None),
    ):
        assert found.rows.equals(from_folder.rows.select(found.rows.columns))
        assert found.repeated.equals(from_folder.repeated)
        assert found.classes == from_folder.classes == ["fake", "real"]
        assert found.digest == from_folder.digest
    assert from_folder.rows["path"].to_list() == list(VIDEOS)
    assert all(Path(file).is_file() for file in from_folder.rows["file"])


def test_nothing_hidden_in_a_folder_is_a_class_or_a_video(tmp_path):
    hidden = (".git/x.mp4", "fake/.DS_Store", "real/.cache/1.mp4")
    for path in (*hidden, "fake/1.mp4", "real/deep/2.mp4"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = read_listing(table=None, folder=tmp_path)
    assert found.rows["path"].to_list() == ["fake/1.mp4", "real/deep/2.mp4"]
    assert found.classes == ["fake", "real"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("\ufeff" + CSV, id="byte order mark"),
        pytest.param(CSV.replace("\n", "\r\n"), id="Windows' line ends"),
        pytest.param(CSV.removesuffix("\n"), id="no last line end"),
        pytest.param(
            "note,label,path\n"
            + "".join(f'"1,\n2",{r[1]},"{r[0]}"\n' for r in FRAME.rows()[:2])
            + 'x,real,"real/say ""hi"".mp4"\n',
            id="other columns, in another order",
        ),
    ],
)
def test_odd_tables_give_the_same_listing(tmp_path, odd):
    found, wanted = listed(tmp_path, odd), listed(tmp_path)
    assert found.rows.equals(wanted.rows)
    assert found.digest == wanted.digest


def test_labels_that_are_numbers_are_the_same_in_parquet_and_csv(tmp_path):
    frame = pl.DataFrame({"path": ["a.mp4", "b.mp4"], "label": [1, 0]})
    frame.write_parquet(tmp_path / "videos.parquet")
    found = read_listing(table=tmp_path / "videos.parquet", folder=None)
    assert found.rows.equals(listed(tmp_path, frame.write_csv()).rows)


def test_paths_start_from_the_table_or_from_root_and_absolute_ones_from_nowhere(tmp_path):
    content = "path,label\na.mp4,x\n/data/b.mp4,y\n"
    beside, below = listed(tmp_path, content), listed(tmp_path, content, root=Path("/films"))
    assert beside.rows["file"].to_list() == [str(tmp_path / "a.mp4"), "/data/b.mp4"]
    assert below.rows["file"].to_list() == ["/films/a.mp4", "/data/b.mp4"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["real", "fake", "real"], ["fake", "real"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["1.0", "1", "01"], ["01", "1", "1.0"]),
        (["b", "10", "9", "nan", "a"], ["9", "10", "a", "b", "nan"]),
    ],
)
def test_classes_stand_in_natural_order_whatever_the_order_of_rows(tmp_path, labels, classes):
    assert listed(tmp_path, rows_of(*labels)).classes == classes
    assert listed(tmp_path, rows_of(*reversed(labels))).classes == classes


def test_classes_stand_in_the_order_asked_for(tmp_path):
    assert listed(tmp_path, classes=["real", "fake"]).classes == ["real", "fake"]


def test_the_digest_is_of_what_is_asked_for_and_not_of_where_it_stands(tmp_path):
    here = listed(tmp_path / "here").digest
    assert listed(tmp_path / "there", name="other.csv").digest == here
    assert listed(tmp_path / "here", root=Path("/films")).digest == here
    for change in (
        CSV.replace(",real", ",fake").replace(",fake", ",real", 1),
        CSV.replace("日本", "日 本"),
        "\n".join([CSV.splitlines()[0], *reversed(CSV.splitlines()[1:])]),
    ):
        assert listed(tmp_path / "here", change).digest != here


def test_the_digest_changes_with_a_group(tmp_path):
    asked = {"label": "label", "group": "source"}
    first = listed(tmp_path, "path,label,source\na.mp4,x,s\nb.mp4,y,s\n", **asked)
    other = listed(tmp_path, "path,label,source\na.mp4,x,s\nb.mp4,y,t\n", **asked)
    assert first.rows["group"].to_list() == ["s", "s"]
    assert first.digest != other.digest


def test_a_row_that_repeats_another_is_told_and_counted_once(tmp_path):
    found = listed(tmp_path, "path,label\na.mp4,x\nb.mp4,y\n./a.mp4,x\n")
    assert found.rows["row"].to_list() == [1, 2]
    assert found.repeated.select("row", "path").rows() == [(3, "./a.mp4")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path;label\na.mp4;x\n", "there is no column path; it has path;label"),
        (CSV.replace("label", "Label"), "no column label; did you mean Label"),
        ("path,label\na.mp4,x\nb.mp4,\n", "row 2: the column label is empty"),
        ("path,label\na.mp4,x\n  ,y\n", "row 2: the column path is empty"),
        ("path,label\na.mp4,x\n./a.mp4,y\n", "a.mp4 has different labels in the rows 1, 2"),
        ("path,label\na.mp4,x\nb.mp4,x\n", "all videos are labelled x"),
        ("path,label\n", "there is no video in it"),
        ("", "cannot be read as csv"),
        (rows_of("é", "x").encode("latin-1"), "cannot be read as csv"),
        ("path,label\na.mp4,x,1\n", "cannot be read as csv"),
    ],
)
def test_a_table_that_cannot_be_taken_is_named_with_the_reason(tmp_path, content, said):
    with pytest.raises(StudyError, match=rf"videos\.csv: .*{said}"):
        listed(tmp_path, content)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["fake", "true"], "the label real is not one of videos.classes"),
        (["fake", "real", "maybe"], "the class maybe of videos.classes has no video"),
    ],
)
def test_classes_that_do_not_fit_the_labels_are_named(tmp_path, classes, said):
    with pytest.raises(StudyError, match=said):
        listed(tmp_path, classes=classes)


@pytest.mark.parametrize(
    ("name", "said"),
    [("videos.xlsx", "a table ends in"), ("videos.parquet", "cannot be read as parquet")],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, said):
    with pytest.raises(StudyError, match=said):
        listed(tmp_path, name=name)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"no file .*gone\.csv"):
        read_listing(table=tmp_path / "gone.csv", folder=None)
    with pytest.raises(StudyError, match=r"no folder .*gone"):
        read_listing(table=None, folder=tmp_path / "gone")
    (tmp_path / "set" / "fake").mkdir(parents=True)
    with pytest.raises(StudyError, match="the class fake is empty"):
        read_listing(table=None, folder=tmp_path / "set")


def test_columns_asked_for_are_carried_as_they_are_whatever_they_are_called(tmp_path):
    text = "path,label,platform,file,row\na.mp4,x,phone,f1,r1\na.mp4,x,web,f2,r2\nb.mp4,y, ,f3,r3\n"
    found = listed(tmp_path, text, columns=["platform", "file", "row"])
    assert found.rows.columns == ["row", "path", "label", "group", "file"]
    assert found.columns.to_dicts() == [
        {"platform": "phone", "file": "f1", "row": "r1"},
        {"platform": None, "file": "f3", "row": "r3"},
    ]
    assert found.digest == listed(tmp_path, text).digest


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    with pytest.raises(StudyError, match=r"evaluate\.subsets: .* platfrm; did you mean platform"):
        listed(tmp_path, "path,label,platform\na.mp4,x,p\nb.mp4,y,p\n", columns=["platfrm"])
    with pytest.raises(StudyError, match=r"folder has no column platform"):
        read_listing(table=None, folder=tmp_path, columns=["platform"])

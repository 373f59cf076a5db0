"""What can stand under ``evaluate_on``, and what it means."""

from pathlib import Path
from typing import Any

import pytest

from reelfit.errors import StudyError
from reelfit.study import Study, study_hash
from reelfit.study_yaml import read_study, study_text

STUDY = """\
videos: {table: videos.csv, path: file, label: kind, group: source}
models: [naive_cnn]
"""


def read(folder: Path, asked: str) -> Study:
    (folder / "study.yaml").write_text(f"{STUDY}evaluate_on: {asked}\n")
    return read_study(folder / "study.yaml", environment={})


def test_a_path_is_a_table_or_a_folder_with_the_columns_of_videos(tmp_path: Path) -> None:
    (table,) = read(tmp_path, "sets/lab films.csv").evaluate_on
    assert (table.name, table.table) == ("lab_films", tmp_path / "sets" / "lab films.csv")
    assert (table.path, table.label, table.group) == ("file", "kind", "source")
    (folder,) = read(tmp_path, "phones").evaluate_on
    assert (folder.name, folder.table, folder.folder) == ("phones", None, tmp_path / "phones")


def test_several_say_what_differs(tmp_path: Path) -> None:
    asked = "[a.csv, {name: lab, table: a.csv, root: b, label: class, group: null}]"
    study = read(tmp_path, asked)
    first, second = study.evaluate_on
    assert (first.label, first.group) == ("kind", "source")
    assert (second.path, second.label, second.group) == ("file", "class", None)
    assert second.root == tmp_path / "b"
    (tmp_path / "again.yaml").write_text(study_text(study))
    assert read_study(tmp_path / "again.yaml", environment={}) == study


def test_it_is_no_part_of_what_makes_a_run(tmp_path: Path) -> None:
    assert study_hash(read(tmp_path, "a.csv")) == study_hash(read(tmp_path, "null"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("[a.csv, b/a.csv]", "two sets are called a"),
        ("{name: lab}", "either a table or a folder"),
        ("{table: a.csv, labels: x}", "did you mean evaluate_on.0.label?"),
        ("{table: a.csv, duplicates: maybe}", "study.yaml:3: evaluate_on.0.duplicates"),
        ("{table: a.csv, name: ../up}", "evaluate_on.0.name"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, asked: str, says: Any) -> None:
    with pytest.raises(StudyError) as told:
        read(tmp_path, asked)
    assert says in str(told.value)

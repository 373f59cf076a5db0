"""What users get wrong: each gives one message with what, where and what to do, before any work."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import STUDY, reelfit
from reelfit.errors import StudyError
from reelfit.stages.listed import listing_of
from reelfit.study_yaml import explain, read_study

GOOD = STUDY + "seed: 0\n"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("train: {epochs", "train: {epoch", ["study.yaml:8", "train.epochs"]),
        ("folds: {count: 3}", "folds: {count: 1}", ["study.yaml:6", "folds.count"]),
        ("memory: {host: 3GiB}", "memory: {host: 3}", ["unit", "3GiB"]),
        ("task: classify", "task: sing", ["study.yaml:1", "task", "classify"]),
        ("seed: 0", "seeds: 0", ["study.yaml:10", "seed"]),
        ("table: videos.csv, ", "", ["table or a folder"]),
        ("name: small", "name: [", ["not YAML"]),
    ],
)
def test_a_mistake_in_the_study_is_named_with_its_line(
    tmp_path: Path, before: str, after: str, says: list[str]
) -> None:
    assert before in GOOD
    (tmp_path / "study.yaml").write_text(GOOD.replace(before, after))
    with pytest.raises(StudyError) as told:
        read_study(tmp_path / "study.yaml", environment={})
    for part in says:
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("video_path,label\na.mp4,0\nb.mp4,1\n", "no column source_id"),
        ("video_pat,label,source_id\na.mp4,0,s\n", "did you mean video_pat?"),
        ("video_path,label,source_id\na.mp4,0,s\na.mp4,1,s\n", "different labels in the rows 1, 2"),
        ("video_path,label,source_id\na.mp4,,s\nb.mp4,1,s\n", "row 1: the column label is empty"),
        ("video_path,label,source_id\na.mp4,1,s\nb.mp4,1,s\n", "class"),
        ("video_path,label,source_id\n", "no video"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "study.yaml").write_text(GOOD)
    (tmp_path / "videos.csv").write_text(table)
    with pytest.raises(StudyError, match=re.escape(says)):
        listing_of(read_study(tmp_path / "study.yaml", environment={}))


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    for name in ("real", "fake"):
        (tmp_path / "clips" / name).mkdir(parents=True)
    (tmp_path / "clips" / "real" / "a.mp4").write_bytes(b"x")
    (tmp_path / "study.yaml").write_text("videos: {folder: clips}\nmodels: [naive_cnn]\n")
    with pytest.raises(StudyError, match="class fake is empty"):
        listing_of(read_study(tmp_path / "study.yaml", environment={}))


def test_the_environment_lays_settings_over_the_study(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(GOOD)
    study = read_study(tmp_path / "study.yaml", environment={"REELFIT_MEMORY_HOST": "5GiB"})
    assert study.memory.host == 5 * 2**30
    with pytest.raises(StudyError, match="REELFIT_MEMRY sets nothing"):
        read_study(tmp_path / "study.yaml", environment={"REELFIT_MEMRY": "5GiB"})


def test_a_setting_is_explained() -> None:
    told = explain("train.effective_batch")
    assert "Samples per optimizer step" in told
    assert "default: 32" in told
    for place, kind, default in [
        ("clips.size", "int or [int, int]", "112"),
        ("clips.fit", "letterbox, stretch, centre_crop, random_crop", "letterbox"),
        ("clips.augment", "str or {name: number}", "standard"),
        ("videos.table", "path or null", "null"),
        ("evaluate.subsets", "list of str", "[]"),
        ("train.epochs", "int", "20"),
        ("memory.host", "int or auto", "auto"),
    ]:
        assert explain(place).endswith(f"\n  type: {kind}\n  default: {default}"), explain(place)
    with pytest.raises(StudyError, match="did you mean train\\.effective_batch"):
        explain("train.effective_bach")


def test_a_wrong_request_ends_with_2_and_leaves_nothing(
    copy_of_set: Callable[[str], Path],
) -> None:
    folder = copy_of_set("wrong")
    done = reelfit("run", folder / "study.yaml", "--set", "models=[r2plus2d]")
    assert done.returncode == 2
    assert "study.yaml:7: models: r2plus2d is not a model; did you mean r2plus1d?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "runs").glob("*/run_*"))
    assert reelfit("run", folder / "no.yaml").returncode == 2
    assert reelfit("study", "--schema").stdout.startswith("{")


def test_contradicting_labels_of_one_content_are_listed(copy_of_set: Callable[[str], Path]) -> None:
    folder = copy_of_set("torn")
    table = (folder / "videos.csv").read_text().replace("videos/twin.mp4,0", "videos/twin.mp4,1")
    (folder / "videos.csv").write_text(table)
    done = reelfit("run", folder / "study.yaml")
    assert done.returncode == 2
    assert "videos/twin.mp4" in done.stderr
    assert "different labels" in done.stderr

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reelfit.demo import make_demo_set
from reelfit.errors import StudyError, VideoError
from reelfit.files import file_digest
from reelfit.study_yaml import read_study
from reelfit.video.decode import decode
from reelfit.video.probe import probe


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "videos.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def twins_of(folder: Path) -> list[tuple[dict[str, str], dict[str, str]]]:
    rows = rows_of(folder)
    return list(zip(rows[::2], rows[1::2], strict=True))


def test_the_same_seed_gives_the_same_bytes_in_another_folder(small_set: Path, tmp_path: Path):
    other = make_demo_set(tmp_path / "elsewhere" / "deeper", sources=3).parent
    assert digests(other) == digests(small_set)


def test_another_seed_gives_other_clips_in_the_same_folder(tmp_path: Path):
    first = rows_of(make_demo_set(tmp_path, sources=2, seed=1).parent)
    second = rows_of(make_demo_set(tmp_path, sources=2, seed=2).parent)
    clips = [file_digest(tmp_path / row["video_path"]) for row in first + second]
    assert len(set(clips)) == len(clips) == 8


def test_each_source_has_one_pristine_and_one_tampered_clip(small_set: Path):
    for pristine, tampered in twins_of(small_set):
        assert pristine["source_id"] == tampered["source_id"]
        assert (pristine["label"], tampered["label"]) == ("0", "1")
        assert pristine["tampering"] == "none"
    assert {row["tampering"] for row in rows_of(small_set)[1::2]} == {
        "splice",
        "freeze",
        "low_quality",
    }


def test_twins_share_all_that_the_container_says_and_differ_in_their_pixels(small_set: Path):
    for pristine, tampered in twins_of(small_set):
        paths = [small_set / row["video_path"] for row in (pristine, tampered)]
        facts = [vars(probe(path)) for path in paths]
        for name in ("bit_rate", "file_bytes"):
            assert facts[0].pop(name) == pytest.approx(facts[1].pop(name), rel=0.03)
        assert facts[0] == facts[1]
        assert facts[0]["width"] >= 320
        assert 2 <= facts[0]["duration_seconds"] <= 8.1
        at = range(facts[0]["frame_count"])
        one, two = (decode(path, at=at).numpy().astype(np.int16) for path in paths)
        assert np.abs(one - two).mean() > 1


def test_a_frozen_clip_shows_a_frame_again_and_a_pristine_one_does_not(small_set: Path):
    frozen = next(t for t in twins_of(small_set) if t[1]["tampering"] == "freeze")
    least = []
    for row in frozen:
        path = small_set / row["video_path"]
        frames = decode(path, at=range(probe(path).frame_count), size=96).numpy().astype(np.int16)
        least.append(np.median(np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))))
    assert least[1] < 0.3 < 1 < least[0]


def test_the_second_call_writes_nothing(small_set: Path):
    before = stamps(small_set)
    told: list[tuple[int, int]] = []
    study = make_demo_set(small_set, sources=3, report_progress=lambda *now: told.append(now))
    assert study == small_set / "study.yaml"
    assert stamps(small_set) == before
    assert told == []


def test_a_killed_demo_goes_on_with_the_clip_that_is_missing(tmp_path: Path):
    make_demo_set(tmp_path, sources=2)
    whole, stood = digests(tmp_path), stamps(tmp_path / "videos")
    (tmp_path / "demo.json").unlink()
    missing = tmp_path / rows_of(tmp_path)[3]["video_path"]
    missing.unlink()
    told: list[tuple[int, int]] = []
    make_demo_set(tmp_path, sources=2, report_progress=lambda *now: told.append(now))
    assert digests(tmp_path) == whole
    now = stamps(tmp_path / "videos")
    assert {name for name, stamp in now.items() if stood[name] != stamp} == {missing.name}
    assert told == [(2, 4), (4, 4)]


def test_a_change_of_the_study_by_its_user_stays(tmp_path: Path):
    study = make_demo_set(tmp_path, sources=2)
    study.write_text(study.read_text().replace("epochs: 6", "epochs: 3"))
    make_demo_set(tmp_path, sources=2)
    assert read_study(study, environment={}).train.epochs == 3


def test_the_study_is_one_that_reelfit_reads(small_set: Path):
    study = read_study(small_set / "study.yaml", environment={})
    assert study.videos.table == small_set / "videos.csv"
    assert [choice.name for choice in study.models] == [
        "handcrafted_logistic",
        "naive_cnn",
        "r2plus1d",
    ]


def test_clips_of_the_user_become_sources_and_other_files_go_into_the_table_as_they_are(
    tmp_path: Path, make_footage: Callable[[Path, int], None]
):
    videos = tmp_path / "mine"
    (videos / "deeper").mkdir(parents=True)
    for number in range(10):
        make_footage(videos / "deeper" / f"holiday, {number}.mp4", number)
    (videos / "garbage.mp4").write_bytes(bytes(range(256)) * 64)
    damaged = bytearray((videos / "deeper" / "holiday, 0.mp4").read_bytes())
    start, length = damaged.index(b"mdat"), len(damaged) // 2
    damaged[start + length // 2 : start + length] = bytes([255]) * (length - length // 2)
    (videos / "damaged.mp4").write_bytes(damaged)
    (videos / "notes.txt").write_text("no video")
    (videos / ".hidden.mp4").write_bytes(b"no video either")
    folder = videos / "demo"  # below the user's own: its clips are no sources
    make_demo_set(folder, videos=videos)
    *made, broken, last = rows_of(folder)
    assert {row["source_id"] for row in made} == {f"deeper/holiday, {n}.mp4" for n in range(10)}
    assert [row["label"] for row in made] == ["0", "1"] * 10
    facts = [probe(folder / row["video_path"]) for row in made]
    assert {(fact.width, fact.height, fact.frame_count, fact.fps) for fact in facts} == {
        (96, 64, 12, 12.0)
    }
    assert Path(last["video_path"]) == videos / "garbage.mp4"
    assert last["label"] == "0"
    assert Path(broken["video_path"]) == videos / "damaged.mp4"
    with pytest.raises(VideoError, match="damaged frame"):
        decode(Path(broken["video_path"]), at=[0, 11], size=32)
    with pytest.raises(VideoError):
        probe(Path(last["video_path"]))
    before = stamps(folder)
    make_demo_set(folder, videos=videos)
    assert stamps(folder) == before


def test_a_changed_file_of_the_user_makes_the_set_anew(
    tmp_path: Path, make_footage: Callable[[Path, int], None]
):
    videos, folder = tmp_path / "mine", tmp_path / "demo"
    videos.mkdir()
    for number in range(10):
        make_footage(videos / f"{number}.mp4", number)
    make_demo_set(folder, videos=videos)
    first = json.loads((folder / "demo.json").read_text())
    make_footage(videos / "3.mp4", 33)
    make_demo_set(folder, videos=videos)
    second = json.loads((folder / "demo.json").read_text())
    assert first["key"] != second["key"]
    assert not set(first["clips"]) & set(second["clips"])


def test_too_few_clips_of_the_user_are_an_error_that_says_how_many_are_needed(
    tmp_path: Path, make_footage: Callable[[Path, int], None]
):
    videos = tmp_path / "mine"
    videos.mkdir()
    for number in range(3):
        make_footage(videos / f"{number}.mp4", number)
    (videos / "garbage.avi").write_bytes(b"nothing")
    with pytest.raises(StudyError, match="3 of its 4 files are usable videos; at least 10"):
        make_demo_set(tmp_path / "demo", videos=videos)
    with pytest.raises(StudyError, match="no such folder"):
        make_demo_set(tmp_path / "demo", videos=tmp_path / "nowhere")
    assert not (tmp_path / "demo").exists()


def test_one_source_has_nothing_to_borrow_from(tmp_path: Path):
    with pytest.raises(ValueError, match="at least 2"):
        make_demo_set(tmp_path, sources=1)

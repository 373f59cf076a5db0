"""The main job, whole: from a table of videos to a report."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import polars as pl
import psutil
import pytest

from command_line import newest_run, reelfit
from reelfit.data import tables
from reelfit.files import file_digest, read_json_lines
from reelfit.runs import Run, held

RESULTS = ("predictions.parquet", "kfold_results.feather")


def digests(run: Run) -> dict[str, str]:
    return {name: file_digest(run.file(name)) for name in RESULTS}


def test_a_study_ends_with_every_file_of_its_run(finished: Run) -> None:
    for name in (
        *("study.yaml", "environment.json", "metrics.jsonl", "memory.jsonl", "events.jsonl"),
        *("index.parquet", "rejected.parquet", "folds.parquet", "clips.parquet"),
        *("features.parquet", "predictions.parquet", "kfold_results.feather"),
        *("report.html", "report.md", "naive_cnn/fold_1/checkpoints/latest.safetensors"),
    ):
        assert finished.file(name).stat().st_size, name
    lines = read_json_lines(finished.file("metrics.jsonl"))
    wanted = {"run_id", "timestamp", "step", "epoch", "phase", "fold", "model", "metric", "value"}
    assert all(set(line) == wanted for line in lines)
    held = read_json_lines(finished.file("memory.jsonl"))
    ends = [line for line in held if line["phase"] == "end" and line["model"] == "naive_cnn"]
    assert {line["largest"] for line in ends} == {"parameter frame.3.weight"}
    assert {line["largest_mb"] for line in ends} == {round(16 * 8 * 9 * 4 / 2**20, 2)}


def test_what_cannot_be_used_is_listed_with_its_reason(finished: Run) -> None:
    rejected = tables.read_table(finished.file("rejected.parquet"), tables.REJECTED)
    assert rejected["path"].to_list() == ["videos/text.mp4", "videos/empty.mp4"]
    assert rejected["row"].to_list() == [14, 15]
    assert all(rejected["reason"].to_list())


def test_each_video_is_predicted_once_by_a_model_that_never_saw_its_group(finished: Run) -> None:
    folds = tables.read_table(finished.file("folds.parquet"), tables.FOLDS)
    assert folds.height == 12  # 13 usable rows, two of which are one video
    assert folds.group_by("group").agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 6
    predictions = tables.read_table(finished.file("predictions.parquet"), tables.PREDICTIONS)
    assert predictions.group_by("model").len()["len"].to_list() == [12, 12]
    joined = predictions.join(folds, on="video_id", suffix="_of_video")
    assert (joined["fold"] == joined["fold_of_video"]).all()


def test_a_finished_run_is_told_as_such_and_left_as_it_is(finished: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")}
    began = time.monotonic()
    again = reelfit("run", finished.folder.parents[2] / "study.yaml")
    seconds = time.monotonic() - began
    assert again.returncode == 0
    assert "finished before" in again.stdout
    assert str(finished.file("report.html")) in again.stdout
    assert before == {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")}
    assert seconds < 6, "2 s on a quiet machine; this one is shared"


def test_programs_are_told_in_json_and_quiet_says_where_the_report_is(finished: Run) -> None:
    study = finished.folder.parents[2] / "study.yaml"
    (end,) = map(json.loads, reelfit("run", study, "--json").stdout.splitlines())
    assert end["event"] == "end"
    assert [model["model"] for model in end["models"]] == ["handcrafted_logistic", "naive_cnn"]
    for model in end["models"]:
        assert model["roc_auc_low"] <= model["roc_auc"] <= model["roc_auc_high"]
    assert 0 < end["peak_mb"] < 2048
    assert reelfit("run", study, "-q").stdout == f"{finished.file('report.html')}\n"


def test_the_parent_imports_neither_torch_nor_scikit_learn(small_set: Path) -> None:
    text = (
        "import sys; from reelfit.session import carry_out; import reelfit.cli;"
        "print([m for m in ('torch', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def kill_at_random(folder: Path, *, kills: int, chance: random.Random) -> Counter[str]:
    """Kills the run's parent, one of its children, or both, and gives the command again."""
    done: Counter[str] = Counter()
    process = None
    while done.total() < kills:
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "--quiet"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            if process.wait(chance.uniform(1.0, 9.0)) == 0:
                break
        except subprocess.TimeoutExpired:
            pass
        parent = psutil.Process(process.pid)
        victim = chance.choice(["parent", "child", "both"])
        children = parent.children() if parent.is_running() else []
        for target in children[:1] if victim != "parent" else []:
            with suppress(psutil.NoSuchProcess):
                target.kill()
        if victim != "child":
            process.kill()
            process.wait()
        done[victim] += 1
    if process is not None:
        process.kill()
        process.wait()
    return done


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(
    finished: Run, copy_of_set: Callable[[str], Path]
) -> None:
    """5 kills; as many as CHAOS_KILLS says for benchmarks/chaos.py."""
    folder = copy_of_set("another path")
    kills = int(os.environ.get("CHAOS_KILLS", "5"))
    done = kill_at_random(folder, kills=kills, chance=random.Random(20261123))
    print(f"killed: {json.dumps(done)}")  # noqa: T201  the benchmark reads it
    last = reelfit("run", folder / "study.yaml", "--set", "launch.workers=1")
    assert last.returncode == 0, last.stderr
    run = newest_run(folder)
    assert digests(run) == digests(finished)
    ends = Counter(
        (event["stage"], event["unit"])
        for event in read_json_lines(run.file("events.jsonl"))
        if event["event"] == "unit_ends"
        and event["outcome"] == "done"
        and event["unit"] != "gather"
    )
    assert max(ends.values()) == 1, "a unit that was done was done again"


def test_an_interrupted_run_saves_and_says_how_to_go_on(copy_of_set: Callable[[str], Path]) -> None:
    folder = copy_of_set("interrupted")
    process = subprocess.Popen(
        [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "To go on: reelfit run" in said


def test_two_processes_do_not_work_on_one_run(copy_of_set: Callable[[str], Path]) -> None:
    folder = copy_of_set("held")
    process = subprocess.Popen(
        [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "-q"]
    )
    try:
        while not list((folder / "runs").glob("small/run_*/.holder.json")):
            assert process.poll() is None
            time.sleep(0.05)
        second = reelfit("run", folder / "study.yaml")
        assert second.returncode == 1
        assert f"held by process {process.pid}" in second.stderr
    finally:
        process.kill()
        process.wait()


def test_the_same_seed_gives_the_same_clips_in_another_order_and_place(
    finished: Run, copy_of_set: Callable[[str], Path]
) -> None:
    folder = copy_of_set("shuffled")
    table = pl.read_csv(folder / "videos.csv")
    table.sample(fraction=1.0, shuffle=True, seed=3).write_csv(folder / "videos.csv")
    done = reelfit(
        *("run", folder / "study.yaml", "--json", "--set", "launch.workers=1"),
        *("--set", "models=[handcrafted_logistic]"),
    )
    assert done.returncode == 0, done.stderr
    end = json.loads(done.stdout.splitlines()[-1])
    pixels = [_clip_digests(run) for run in (finished, Run(Path(end["run"])))]
    assert len(pixels[0]) == 24
    assert pixels[0] == pixels[1]


def _clip_digests(run: Run) -> dict[tuple[str, int], int]:
    clips = tables.read_table(run.file("clips.parquet"), tables.CLIPS)
    found = {}
    for clip in clips.iter_rows(named=True):
        (shard,) = run.store.glob(f"clips/*/{clip['shard']}")
        with shard.open("rb") as opened:
            found[clip["video_id"], clip["copy"]] = hash(
                os.pread(opened.fileno(), clip["bytes"], clip["offset"])
            )
    return found


def test_a_run_that_is_held_says_by_whom(finished: Run) -> None:
    with held(finished):
        told = reelfit("status", finished.folder.parent)
    assert f"process {os.getpid()}" in told.stdout
    assert "finished" in reelfit("status", finished.folder.parent).stdout

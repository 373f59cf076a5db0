"""The plan is told before anything is trained, is kept to, and refuses what cannot fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import reelfit
from reelfit.files import read_json_lines
from reelfit.runs import Run


def test_a_plan_is_told_and_leaves_no_run_behind(copy_of_set: Callable[[str], Path]) -> None:
    folder = copy_of_set("planned")
    told = reelfit("plan", folder / "study.yaml")
    assert told.returncode == 0, told.stderr
    for line in ("activations per sample", "process base", "predicted peak", "headroom", "rung"):
        assert f"\n{line} " in told.stdout
    assert "naive_cnn: all 8 samples of a step fit at once" in told.stdout
    assert [path.name for path in (folder / "runs").iterdir()] == ["_store"]
    (profile,) = (folder / "runs/_store/profiles").iterdir()
    measured = profile.read_bytes()
    again = reelfit("plan", folder / "study.yaml", "--json", "--memory", "host=2GiB")
    assert profile.read_bytes() == measured  # another budget measures nothing anew
    plan = next(line for line in map(json.loads, again.stdout.splitlines()) if "why" in line)
    assert plan["budget_bytes"] * 2 in (2**31, 2**32)  # one share of two, or all of it
    assert sum(plan["components"].values()) == plan["predicted_peak_bytes"]


def test_a_clip_that_cannot_fit_is_refused_before_a_video_is_opened(
    copy_of_set: Callable[[str], Path],
) -> None:
    folder = copy_of_set("refused")
    shape = ("--set", "clips.size=1024", "--set", "clips.frames=64")
    told = reelfit("run", folder / "study.yaml", *shape, "--memory", "host=1GiB")
    assert told.returncode == 1
    assert "naive_cnn: one sample needs about" in told.stderr
    assert "clips.size=512 in place of 1024" in told.stderr
    assert "memory.host=" in told.stderr
    (run,) = (folder / "runs/small").iterdir()
    assert not (run / "index.parquet").exists()


def test_a_run_tells_its_plan_and_keeps_to_it(finished: Run) -> None:
    events = read_json_lines(finished.file("events.jsonl"))
    (plan,) = [event for event in events if event["event"] == "plan"]
    assert plan["model"] == "naive_cnn"
    peaks = [
        event["host_peak_mb"]
        for event in events
        if event["event"] == "unit_ends" and event["unit"].startswith("naive_cnn/")
    ]
    assert plan["predicted_resident_bytes"] / 2**20 == pytest.approx(max(peaks), rel=0.1)

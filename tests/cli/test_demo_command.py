"""The demo's options, as far as they need no run."""

import subprocess
import sys
from pathlib import Path

import pytest


def demo(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "reelfit", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("option", "value"), [("--videos", "."), ("--sources", "12")])
def test_an_option_that_drawn_shapes_have_no_use_for_is_refused(
    option: str, value: str, tmp_path: Path
):
    told = demo("--task", "retrieve", option, value, "--out", tmp_path / "new")
    assert told.returncode == 2
    assert f"{option}: the set for --task retrieve is drawn" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "new").exists()


def test_an_unknown_task_is_refused_with_the_known_ones(tmp_path: Path):
    told = demo("--task", "retreive", "--out", tmp_path / "new")
    assert told.returncode == 2
    assert "classify" in told.stderr
    assert "retrieve" in told.stderr
    assert not (tmp_path / "new").exists()

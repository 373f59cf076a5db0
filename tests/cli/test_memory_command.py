"""``reelfit memory`` on the logs of a real process, as its users give it."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

WORKING = """
import sys, time
from pathlib import Path
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run

run = Run(Path(sys.argv[1]))
kept = []
facts = {"stage": "train", "unit": "naive_cnn/fold_1", "pid": 7}
log = run.file("memory.jsonl")
with MemoryLog(log, facts, budget_bytes=2**30, interval_seconds=0.02) as memory:
    memory.place.update(model="naive_cnn", fold=1)
    for step in range(120):
        memory.place.update(epoch=step // 30, global_step=step)
        kept.append(bytearray(b"x" * 2**20))
        time.sleep(0.01)
run.event("unit_ends", stage="train", unit="naive_cnn/fold_1", outcome="done", seconds=2.0,
          host_peak_mb=150.0)
"""


def asked(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "reelfit", "memory", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small" / "run_20261104_141502_9f3c21ab"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    subprocess.run([sys.executable, "-c", WORKING, str(folder)], check=True)
    return folder


def test_a_planted_leak_of_a_mebibyte_a_step_is_named(leaking: Path):
    done = asked(leaking)
    assert done.returncode == 0, done.stderr
    assert "This leaks: train naive_cnn/fold_1 gains" in done.stdout
    assert "MiB per 100 steps" in done.stdout
    picture = (leaking / "memory.svg").read_text()
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "var(--accent)" in picture
    assert "--accent:" in picture


def test_programs_get_numbers_and_the_picture_goes_where_it_is_wanted(
    leaking: Path, tmp_path: Path
):
    done = asked(leaking.parent, "--json", "--picture", tmp_path / "shown.svg")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["run"] == str(leaking)
    assert (tmp_path / "shown.svg").exists()
    (growth,) = told["growth"]
    assert growth["verdict"] == "growing"
    assert growth["mb_per_100_steps"]["low"] <= 102
    assert growth["mb_per_100_steps"]["high"] >= 98
    assert growth["mb_per_epoch"]["value"] == pytest.approx(
        0.3 * growth["mb_per_100_steps"]["value"], rel=0.1
    )
    assert told["peaks"][0]["budget_mb"] == 1024.0


def test_the_newest_run_of_a_study_is_taken(leaking: Path, tmp_path: Path):
    study = tmp_path / "study.yaml"
    study.write_text("name: small\nvideos: {folder: clips}\nmodels: [naive_cnn]\n")
    newer = tmp_path / "runs" / "small" / "run_20261105_000000_9f3c21ab"
    for folder in (newer.with_name("run_20261101_000000_9f3c21ab"), newer):
        shutil.copytree(leaking, folder)
    done = asked(study, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == str(newer)


def test_it_answers_without_torch(leaking: Path):
    program = (
        "import sys; from reelfit.cli.commands import app; "
        f"app(['memory', {str(leaking)!r}], standalone_mode=False); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_where_there_is_nothing_it_is_said(tmp_path: Path):
    done = asked(tmp_path)
    assert done.returncode == 1
    assert "there is no run here" in done.stderr
    (tmp_path / "run.json").write_text("{}")
    done = asked(tmp_path)
    assert done.returncode == 1
    assert "nothing in it yet" in done.stderr
    assert "Traceback" not in done.stderr

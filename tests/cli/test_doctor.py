"""What ``reelfit doctor`` says of the machine that these tests run on."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from reelfit.memory.budget import available_cores


def doctor(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    return subprocess.run(
        [sys.executable, "-m", "reelfit", "doctor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=bare | environment,
    )


def test_the_machine_is_told_as_it_is_and_a_missing_gpu_is_no_problem(tmp_path: Path):
    told = doctor(tmp_path / "not yet there", "--json", OMP_NUM_THREADS="1")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["problems"] == []
    assert found["torch"]["version"] == version("torch")
    assert found["torch"]["threads"] == 1
    assert len(found["gpus"]) == torch.cuda.device_count()
    assert found["processors"]["usable"] == available_cores()
    assert found["hard_limit"] is sys.platform.startswith("linux")
    memory = found["memory"]
    assert 0 < memory["auto_bytes"] < memory["free_bytes"] <= memory["total_bytes"]
    assert memory["bounded_by"] in ("machine", "container")
    assert found["disk"]["free_bytes"] > 0
    assert not (tmp_path / "not yet there").exists()
    set_by = {variable["name"]: variable["set_by"] for variable in found["environment"]}
    assert set_by["OMP_NUM_THREADS"] == "user"
    assert set_by["POLARS_MAX_THREADS"] == "reelfit"


def test_people_are_told_the_same_in_tables():
    told = doctor()
    assert told.returncode == 0, told.stderr
    names = ["reelfit", "Python", "torch", "GPU", "processors", "main memory", "disk"]
    assert [name for name in names if f"\n{name} " in f"\n{told.stdout}"] == names
    assert ("none that torch can use" in told.stdout) is not torch.cuda.is_available()
    assert "memory.host: auto is" in told.stdout
    assert "OMP_NUM_THREADS" in told.stdout


def test_a_torn_torch_is_named_as_the_problem(tmp_path: Path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libtorch.so is missing')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    told = doctor(PYTHONPATH=path)
    assert told.returncode == 1
    assert "problem: torch cannot be used: ImportError: libtorch.so is missing" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr

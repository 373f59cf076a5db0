"""The model that docs/models.md adds is added so, and is a model like every other."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reelfit

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
SUITE = Path(__file__).parent / "test_models.py"
MOST_LINES = 60


@pytest.fixture
def with_the_model(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds a Reelfit with the file and the row of the page."""
    text = DOCUMENT.read_text(encoding="utf-8")
    place = re.search(r"`src/(reelfit/models/\w+\.py)`:", text)
    assert place is not None
    (file,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    first, row = re.findall(r"^\+(.*)$", text, re.MULTILINE)
    assert len(file.splitlines()) <= MOST_LINES
    shutil.copytree(Path(reelfit.__file__).parent, tmp_path / "reelfit")
    (tmp_path / place[1]).write_text(file, encoding="utf-8")
    table = tmp_path / "reelfit" / "models" / "__init__.py"
    names = table.read_text(encoding="utf-8")
    names = names.replace("\nMODELS: ", f"\n{first}\n\nMODELS: ", 1)
    start = names.index("\n", names.index("MODELS: ")) + 1
    table.write_text(f"{names[:start]}{row}\n{names[start:]}", encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_it_keeps_to_all_that_a_network_must(with_the_model: dict[str, str], tmp_path: Path):
    suite = shutil.copy(SUITE, tmp_path / "test_models.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path),
         str(suite), "-k", "motion_energy"],
        env=with_the_model, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 9


def test_it_is_listed_and_its_options_are_checked(with_the_model: dict[str, str], tmp_path: Path):
    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "reelfit", *arguments],
            env=with_the_model, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    told = ask("models", "motion_energy", "--set", "clips.size=32", "--json")
    (row,) = map(json.loads, told.stdout.splitlines())
    assert row["what"] == "Convolutions on the variance of each pixel over time"
    assert row["parameters"] == 27 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 2 + 2
    assert row["micro_batch"]["plain"] > 0
    (tmp_path / "study.yaml").write_text(
        "videos: {folder: clips}\nmodels: [{name: motion_energy, widht: 8}]\n"
    )
    (tmp_path / "clips" / "fake").mkdir(parents=True)
    (tmp_path / "clips" / "real").mkdir()
    for side in ("fake", "real"):
        for number in range(5):
            (tmp_path / "clips" / side / f"{number}.mp4").write_bytes(b"not read before")
    refused = ask("plan", "study.yaml")
    assert refused.returncode == 2
    assert "motion_energy has no option widht; did you mean width?" in refused.stderr

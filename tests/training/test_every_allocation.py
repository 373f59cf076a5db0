"""Whichever allocation of a step fails, the step ends exact, or cleanly."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = {
    "frames": ["naive_cnn", {"channels": [8, 16]}, "plain"],
    "frames, checkpointed": ["naive_cnn", {"channels": [8, 16]}, "checkpointing"],
    "volumes": ["r2plus1d", {"width": 8, "blocks": [1]}, "plain"],
    "volumes, checkpointed": ["r2plus1d", {"width": 8, "blocks": [1]}, "checkpointing"],
}


@pytest.fixture(scope="module")
def failing_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a preloaded library needs Linux and gcc")
    library = tmp_path_factory.mktemp("library") / "failing_memory.so"
    source = str(HERE / "failing_memory.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step_ends_exact_or_clean_whichever_allocation_fails(failing_memory, case):
    told = subprocess.run(
        [sys.executable, str(HERE / "every_allocation.py"), json.dumps(case)],
        env=os.environ | {"LD_PRELOAD": str(failing_memory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    ends = json.loads(told.stdout)
    total = ends.pop("allocations")
    assert total > 50
    assert set(ends) <= {"again", "at once", "clean", "reload"}, told.stderr[-2000:]
    assert sum(ends.values()) == total
    assert ends["again"] > 0.9 * total

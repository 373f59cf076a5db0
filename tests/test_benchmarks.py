"""The benchmarks that need something say so where it is missing."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_without_a_gpu_its_checks_say_so_and_are_no_failure():
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "no GPU here: nothing was checked\n")

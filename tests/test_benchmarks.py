"""The benchmarks that need something say so where it is missing."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.skipif(importlib.util.find_spec("kornia") is not None, reason="kornia is installed")
def test_a_library_that_is_not_installed_is_told_as_missing_beside_ours_that_is_measured(tmp_path):
    clip = np.arange(8 * 3 * 32 * 32).reshape(8, 3, 32, 32).astype(np.uint8)
    np.save(tmp_path / "clip.npy", clip)
    told = {}
    for name in ("reelfit", "kornia"):
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / "augmenters.py"), name, str(tmp_path / "clip.npy")],
            capture_output=True,
            text=True,
            check=True,
        )
        told[name] = json.loads(done.stdout)
    assert told["kornia"] == {"missing": "ModuleNotFoundError: No module named 'kornia'"}
    assert told["reelfit"]["chain"] > 0
    assert told["reelfit"]["same_noise_on_each_frame"] is False

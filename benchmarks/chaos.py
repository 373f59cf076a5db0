"""A 3-fold study killed 50 times at random moments ends with the bits of an undisturbed one."""

import json
import os
import subprocess
import sys
import time

from measured import write_result

KILLS = 50
TEST = "tests/end_to_end/test_study.py::test_a_run_killed_at_random_moments_ends_with_the_same_bits"

began = time.monotonic()
told = subprocess.run(
    [sys.executable, "-m", "pytest", "-q", "-s", TEST],
    env=os.environ | {"CHAOS_KILLS": str(KILLS)},
    stdout=subprocess.PIPE,
    text=True,
    check=False,
)
(killed,) = [line for line in told.stdout.splitlines() if "killed: " in line]
write_result(
    "chaos",
    {
        "killed": json.loads(killed.partition("killed: ")[2]),
        "same_bits": told.returncode == 0,
        "seconds": round(time.monotonic() - began, 1),
    },
)
sys.exit(told.returncode)

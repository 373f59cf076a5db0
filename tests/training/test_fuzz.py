"""Random steps under random hard limits lose nothing and change nothing that they should not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
OTHER_BITS = "other bits"
"""Under limits that no plan has chosen, libraries below torch may take other algorithms without a
word: how often is the benchmark's figure."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_no_case_loses_a_sample_or_changes_weights_by_a_step_that_was_not_done():
    """10 of the 500 cases of the benchmark."""
    told = subprocess.run(
        [sys.executable, str(FUZZ), "10", "3"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    ends = json.loads(told.stdout)["ends"]
    assert sum(ends.values()) == 10
    known = ("exact", "clear error", "to be loaded again", OTHER_BITS)
    assert [end for end in ends if not end.startswith(known)] == []
    assert any(end.startswith("exact") for end in ends)

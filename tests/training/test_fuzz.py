"""Random steps under random hard limits lose nothing and change nothing that they should not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_no_case_loses_a_sample_or_changes_weights_by_a_step_that_was_not_done():
    """6 like the 500 cases of the benchmark."""
    told = subprocess.run(
        [sys.executable, str(FUZZ), "6", "3"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    figures = json.loads(told.stdout)
    assert figures["wrong"] == []
    ends = figures["ends"]
    assert sum(ends.values()) == 6
    known = ("exact", "clear error", "to be loaded again")
    assert [end for end in ends if not end.startswith(known)] == []
    assert any(end.startswith("exact") for end in ends)

"""Random steps under random hard limits end exact, or with the clear error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_no_case_ends_otherwise_than_exact_or_with_the_clear_error():
    """10 of the 500 cases of the benchmark."""
    told = subprocess.run(
        [sys.executable, str(FUZZ), "10", "3"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    figures = json.loads(told.stdout)
    assert figures["wrong"] == []
    assert sum(figures["ends"].values()) == 10
    assert any(end.startswith("exact") for end in figures["ends"])

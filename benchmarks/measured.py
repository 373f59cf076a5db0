"""How every figure here is written down: with its date, machine and commit."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write_result(claim: str, figures: dict[str, Any]) -> None:
    """One dated JSON file per claim and day; the newest measurement of a day stands."""
    now = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()
    facts = {
        "claim": claim,
        "date": f"{now:%Y-%m-%d}",
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, shared",
        "python": platform.python_version(),
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}_{claim}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n")
    print(path.read_text())

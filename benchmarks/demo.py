"""What each stage of the demos takes, in seconds and in memory, measured by the runs themselves.

Of the set of moving shapes also what was learnt: R@1 among texts and clips of combinations that
training never saw, beside a random order, and BLEU-4 of the captions. ``demo.py retrieve`` does
that one alone.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from measured import write_result

from reelfit.files import read_json_lines
from reelfit.report.consumption import consumption
from reelfit.report.history import unit_table

CLAIMS = {"classify": "demo", "retrieve": "demo_retrieve"}


def run_twice(task: str, folder: str) -> tuple[Path, list[float]]:
    """The run's folder, and the seconds of the first command and of the same one again."""
    command = [sys.executable, "-m", "reelfit", "demo", "--task", task, "--out", folder, "--quiet"]
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds.append(round(time.monotonic() - began, 2))
    return Path(said.strip()).parent, seconds


def figures_of(run: Path) -> dict[str, Any]:
    """Seconds and peaks of the stages, and what was foreseen of the networks."""
    events = read_json_lines(run / "events.jsonl")
    units = unit_table(events)
    foreseen = consumption(read_json_lines(run / "memory.jsonl"), events).predictions
    (parent,) = [event["host_peak_mb"] for event in events if event["event"] == "session_ends"]
    died = [e for e in events if e["event"] == "unit_ends" and e["outcome"] != "done"]
    return {
        "parent_peak_mib": parent,
        "units_that_died": len(died),
        "networks": {
            each.model: {"predicted_mib": each.predicted_mb, "measured_mib": each.measured_mb}
            for each in foreseen
        },
        "stages": {
            stage: {
                "unit_seconds": round(float(rows["seconds"].sum()), 2),
                "peak_mib": rows["host_peak_mb"].max(),
                "units": rows.height,
            }
            for (stage,), rows in units.group_by("stage", maintain_order=True)
        },
    }


def learnt(run: Path) -> dict[str, Any]:
    """R@1 of both directions with intervals and chance, and the captions' metrics."""
    summary = pl.read_parquet(run / "retrieval_summary.parquet").filter(metric="recall@1")
    captions = pl.read_parquet(run / "caption_summary.parquet")
    kept = ("value", "low", "high", "chance")
    return {
        "recall@1": {
            row["direction"]: {name: row[name] for name in kept} for row in summary.to_dicts()
        },
        "captions": {
            row["metric"]: {name: row[name] for name in kept[:3]} for row in captions.to_dicts()
        },
    }


for task in sys.argv[1:] or CLAIMS:
    with tempfile.TemporaryDirectory() as folder:
        run, (first, second) = run_twice(task, folder)
        figures: dict[str, Any] = {"first_seconds": first, "second_seconds": second}
        if task == "retrieve":
            figures |= learnt(run)
        write_result(CLAIMS[task], figures | figures_of(run))

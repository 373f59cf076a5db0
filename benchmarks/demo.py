"""What each stage of the demo takes, in seconds and in memory, measured by the run itself."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import write_result

from reelfit.files import read_json_lines
from reelfit.report.consumption import consumption
from reelfit.report.history import unit_table

with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "reelfit", "demo", "--out", folder, "--quiet"]
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds.append(round(time.monotonic() - began, 2))
    run = Path(said.strip()).parent
    events = read_json_lines(run / "events.jsonl")
    units = unit_table(events)
    foreseen = consumption(read_json_lines(run / "memory.jsonl"), events).predictions
    (parent,) = [event["host_peak_mb"] for event in events if event["event"] == "session_ends"]

stages = {
    stage: {
        "unit_seconds": round(float(rows["seconds"].sum()), 2),
        "peak_mib": rows["host_peak_mb"].max(),
        "units": rows.height,
    }
    for (stage,), rows in units.group_by("stage", maintain_order=True)
}
write_result(
    "demo",
    {
        "first_seconds": seconds[0],
        "second_seconds": seconds[1],
        "parent_peak_mib": parent,
        "networks": {
            each.model: {"predicted_mib": each.predicted_mb, "measured_mib": each.measured_mb}
            for each in foreseen
        },
        "stages": stages,
    },
)

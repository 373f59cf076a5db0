"""Every model in one study on the demo's set: time, memory, what each reaches, what each costs.

The study is ``all_models.yaml``, within 4 GiB on the processors here. It is killed once on its way,
with all its processes, and goes on by the same command. The table of docs/models.md is written from
the result. With a folder as argument the demo's set is made there, and stays.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from measured import write_result

from reelfit.demo import make_demo_set
from reelfit.files import read_json_lines
from reelfit.memory.allocator import child_environment
from reelfit.report.consumption import consumption
from reelfit.runs import Run
from reelfit.stages.plans import read_profiles
from reelfit.study import Study
from reelfit.study_yaml import read_study

STUDY = Path(__file__).with_suffix(".yaml")
DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"
GOAL_MINUTES = 45
KILLED_AFTER = 30
"""Units of training that have ended when all processes are killed."""
TIMED_CLIPS = 8
FORWARD = """
import json, sys, time, torch
from reelfit.models import make_model

name, options, frames, size, clips = json.loads(sys.argv[1])
torch.manual_seed(0)
torch.set_num_threads(1)
network = make_model(name, options).build(num_outputs=2).eval()
batch = torch.rand(clips, frames, 3, size, size) * 2 - 1
seconds = []
with torch.inference_mode():
    for _ in range(4):
        began = time.process_time()
        network(batch)
        seconds.append(time.process_time() - began)
print(json.dumps(sorted(seconds[1:])[1] / clips))
"""


def run_and_kill(study: Path) -> float:
    """Runs the study up to some units of training, and kills all that works on it."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "reelfit", "run", str(study), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    ended = 0
    for line in child.stdout:
        event = json.loads(line)
        ended += event["event"] == "unit_ends" and event["stage"] == "train"
        if ended == KILLED_AFTER:
            break
    else:
        raise SystemExit(f"it ended before it was killed: status {child.wait()}")
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return time.monotonic() - began


def forward_ms(study: Study, name: str, options: dict[str, Any]) -> float:
    """Processor milliseconds for a clip, forward alone, by one thread, in a process of its own."""
    size, _ = study.clips.height_width
    task = json.dumps([name, options, study.clips.frames, size, TIMED_CLIPS])
    said = subprocess.run(
        [sys.executable, "-c", FORWARD, task],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(os.environ, threads=1),
    ).stdout
    return round(1000 * json.loads(said.splitlines()[-1]), 2)


def rows_of(run: Run, study: Study) -> list[dict[str, Any]]:
    """A row per model, in the study's order."""
    parameters = {
        name: facts["parameters"]
        for name, facts in json.loads(run.file("models.json").read_text()).items()
    }
    profiles = {name: first for name, (first, *_) in read_profiles(run).items()}
    summary = {
        row["model"]: row
        for row in pl.read_parquet(run.file("summary.parquet"))
        .filter(pl.col("metric") == "roc_auc")
        .iter_rows(named=True)
    }
    peaks: dict[str, list[Any]] = {}
    for peak in consumption(
        read_json_lines(run.file("memory.jsonl")), read_json_lines(run.file("events.jsonl"))
    ).peaks:
        if peak.model is not None:
            peaks.setdefault(peak.model, []).append(peak)
    rows = []
    for choice in study.models:
        profile, of_model = profiles.get(choice.id), peaks.get(choice.id, [])
        told = summary[choice.id]
        rows.append(
            {
                "model": choice.id,
                "parameters": parameters[choice.id],
                "activations_bytes": profile and profile.techniques[0].traced[0].activations_bytes,
                "forward_ms_per_clip": (
                    forward_ms(study, choice.name, choice.options) if profile else None
                ),
                "peak_mib": max((peak.host_peak_mb for peak in of_model), default=None),
                "budget_mib": min(
                    (peak.budget_mb for peak in of_model if peak.budget_mb), default=None
                ),
                "roc_auc": [told["out_of_fold"], told["low"], told["high"]],
            }
        )
    return rows


def table(rows: list[dict[str, Any]], control: dict[str, Any]) -> str:
    """The rows for docs/models.md."""
    lines = [
        "| model | parameters | activations of a sample, MiB | forward, ms a clip | peak, MiB | "
        "ROC AUC (95 % interval) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        activations = row["activations_bytes"]
        value, low, high = row["roc_auc"]
        cells = [
            row["model"],
            f"{row['parameters']:,}" if row["parameters"] else "-",
            f"{activations / 2**20:.1f}" if activations else "-",
            f"{row['forward_ms_per_clip']:.1f}" if activations else "-",
            f"{row['peak_mib']:,.0f}" if row["peak_mib"] else "-",
            f"{value:.3f} ({low:.3f} to {high:.3f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    told = f"{control['value']:.3f} ({control['low']:.3f} to {control['high']:.3f})"
    lines.append(f"| the control, on container facts | - | - | - | - | {told} |")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """The run, its figures, and the table in the document."""
    make_demo_set(folder)
    place = folder / STUDY.name
    shutil.copy(STUDY, place)
    minutes = [run_and_kill(place) / 60]
    began = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-m", "reelfit", "run", str(place), "--quiet"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    minutes.append((time.monotonic() - began) / 60)
    run = Run(Path(said.strip()).parent)
    study = read_study(place)
    rows = rows_of(run, study)
    control = (
        pl.read_parquet(run.file("control_facts.parquet"))
        .filter(pl.col("fact") == "all facts")
        .row(0, named=True)
    )
    above = [row["model"] for row in rows if row["roc_auc"][1] > control["high"]]
    over = [
        row["model"] for row in rows if row["budget_mib"] and row["peak_mib"] > row["budget_mib"]
    ]
    sessions = [
        event["host_peak_mb"]
        for event in read_json_lines(run.file("events.jsonl"))
        if event["event"] == "session_ends"
    ]
    write_result(
        "all_models",
        {
            "models": len(rows),
            "minutes_until_killed_and_after": [round(each, 1) for each in minutes],
            "goal_minutes": GOAL_MINUTES,
            "in_time": sum(minutes) <= GOAL_MINUTES,
            "parent_peak_mib": sessions,
            "control": control,
            "intervals_above_the_control": above,
            "over_their_budget": over,
            "rows": rows,
        },
    )
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = "<!-- measured by benchmarks/all_models.py -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}{table(rows, control)}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))

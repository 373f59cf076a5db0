"""How index, split, clips and evaluate grow with the rows of the table, on short real videos."""

import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from measured import write_result

from reelfit.demo import make_demo_set
from reelfit.files import read_json_lines

ROWS = (100, 1_000, 10_000)
STUDY = """\
videos: {table: videos.csv, path: path, label: label}
clips: {frames: 4, size: 32, copies: 0}
models: [handcrafted_logistic]
evaluate: {bootstrap: 100}
"""


def make_table(folder: Path, sources: list[bytes], rows: int) -> None:
    """Clips of a few sources, each made another file by a box of its own that players skip."""
    (folder / "videos").mkdir(parents=True)
    lines = ["path,label"]
    for row in range(rows):
        box = (16).to_bytes(4, "big") + b"free" + row.to_bytes(8, "big")
        (folder / f"videos/{row}.mp4").write_bytes(sources[row % len(sources)] + box)
        lines.append(f"videos/{row}.mp4,{row % len(sources) % 2}")
    (folder / "videos.csv").write_text("\n".join(lines) + "\n")
    (folder / "study.yaml").write_text(STUDY)


def measure(folder: Path) -> dict[str, Any]:
    """Wall seconds and the highest peak of each stage of one run."""
    command = [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "--quiet"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    began: dict[str, datetime] = {}
    found: dict[str, Any] = defaultdict(dict)
    for event in read_json_lines(Path(said.strip()).parent / "events.jsonl"):
        time, stage = datetime.fromisoformat(event["timestamp"]), event.get("stage", "")
        if event["event"] == "stage_begins":
            began[stage] = time
        elif event["event"] == "stage_ends":
            found[stage]["seconds"] = round((time - began[stage]).total_seconds(), 2)
        elif event["event"] == "unit_ends":
            peak = max(found[stage].get("peak_mib", 0.0), event["host_peak_mb"])
            found[stage]["peak_mib"] = peak
    return {stage: found[stage] for stage in ("index", "split", "clips", "evaluate")}


with tempfile.TemporaryDirectory() as place:
    demo_set = make_demo_set(Path(place) / "demo", sources=4).parent
    smallest = sorted(demo_set.glob("videos/*.mp4"), key=lambda path: path.stat().st_size)[:4]
    clips = [path.read_bytes() for path in smallest]
    figures = {}
    for count in ROWS:
        make_table(Path(place) / str(count), clips, count)
        figures[str(count)] = measure(Path(place) / str(count))
        print(count, figures[str(count)], flush=True)
write_result("growth", {"rows": figures})

"""How index, split, clips and evaluate grow with the rows of the table, on short real videos."""

import subprocess
import sys
import tempfile
import time
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
folds: {near_duplicates: null}
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
        lines.append(f"videos/{row}.mp4,{row % 2}")
    (folder / "videos.csv").write_text("\n".join(lines) + "\n")


def short_videos(folder: Path) -> list[bytes]:
    """The four smallest of a demo set."""
    demo_set = make_demo_set(folder / "demo", sources=4).parent
    smallest = sorted(demo_set.glob("videos/*.mp4"), key=lambda path: path.stat().st_size)[:4]
    return [path.read_bytes() for path in smallest]


def measure(study: Path, *, until: str | None = None) -> dict[str, Any]:
    """Wall seconds and the highest peak of each stage of one run, ended after the stage named."""
    runs = study.parent / "runs"
    before = set(runs.glob("*/*/events.jsonl"))
    child = subprocess.Popen(
        [sys.executable, "-m", "reelfit", "run", str(study), "--quiet"], stdout=subprocess.DEVNULL
    )
    events: list[dict[str, Any]] = []
    ended = False
    while not ended:
        ended = child.poll() is not None
        for file in set(runs.glob("*/*/events.jsonl")) - before:
            events = read_json_lines(file)
        if any(e["event"] == "stage_ends" and e["stage"] == until for e in events):
            child.terminate()
            child.wait()
            break
        time.sleep(0.2)
    if child.returncode and until is None:
        raise RuntimeError(f"the run ended with {child.returncode}")
    return _by_stage(events)


def _by_stage(events: list[dict[str, Any]]) -> dict[str, Any]:
    began: dict[str, datetime] = {}
    found: dict[str, Any] = defaultdict(dict)
    for event in events:
        time_, stage = datetime.fromisoformat(event["timestamp"]), event.get("stage", "")
        if event["event"] == "stage_begins":
            began[stage] = time_
        elif event["event"] == "stage_ends":
            found[stage]["seconds"] = round((time_ - began[stage]).total_seconds(), 2)
        elif event["event"] == "unit_ends":
            peak = max(found[stage].get("peak_mib", 0.0), event["host_peak_mb"])
            found[stage]["peak_mib"] = peak
    return found


def main() -> None:
    """Each number of rows, a run by itself."""
    with tempfile.TemporaryDirectory() as place:
        sources = short_videos(Path(place))
        figures = {}
        for count in ROWS:
            folder = Path(place) / str(count)
            make_table(folder, sources, count)
            (folder / "study.yaml").write_text(STUDY)
            found = measure(folder / "study.yaml")
            figures[str(count)] = {
                stage: found[stage] for stage in ("index", "split", "clips", "evaluate")
            }
            print(count, figures[str(count)], flush=True)
    write_result("growth", {"rows": figures})


if __name__ == "__main__":
    main()

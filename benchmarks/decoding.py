"""Reelfit's decoding beside others: the frames wanted of one video, small, as a clip needs them.

Processor and wall time, memory over the process that has warmed up on another file, and how many
frames are exact (in a pass of its own at full size: resizers differ). Each measurement is a process
of its own with the settings of our own children and one thread, in turn: 6, 8 and 16 frames at 112
and 224 of the first video, 8 at 112 of all others. The others live in an environment of their own,
whose interpreter ``DECODE_PEERS`` names::

    python -m venv /tmp/decode_peers
    /tmp/decode_peers/bin/pip install -c constraints.txt torch \
        torchcodec==0.13.0 decord==0.6.0 opencv-python-headless
    apt-get install ffmpeg
    DECODE_PEERS=/tmp/decode_peers/bin/python python benchmarks/decoding.py

torchcodec loads the system's FFmpeg: 0.13 Debian's 5.1, 0.14 and later do not. What is not
installed is said. With names of videos only those are decoded, and nothing is kept. Without
``../shared/videos`` the real ones are left out, and that is said, too.

Where a whole video is decoded, ``originals.py`` measures the same in whole loading processes.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from decoding_goals import goals
from exact_frames import (
    PLAIN,
    SHARED,
    full_decode,
    judge,
    np,
    shared_frames,
)
from made_videos import MAIN, TINY, VIDEOS, made_video
from measured import write_result

from reelfit.memory.allocator import child_environment
from reelfit.video.container import open_video
from reelfit.video.frames import indexed_video
from reelfit.video.packets import runs_of_packets
from reelfit.video.sample import sample_frames

MIB = 2**20
ROUNDS, SECONDS, SECONDS_OF_REAL = 3, 300, 60
CELLS_OF_MAIN = [(count, size) for size in (112, 224) for count in (6, 8, 16)]
CELL = (8, 112)
WHOLE_FRAMES_AT_MOST = 4 * 2**30
OTHERS = ("torchcodec_exact", "torchcodec_approximate", "decord", "opencv_grab")
NAMES = ("reelfit", "floor", *OTHERS, "pyav_seek", "pyav_whole")
NAMES_OF_EACH_ROUND = NAMES[:-3]
"""The others are in the first alone: they take long, and no goal asks for their time."""
REAL = (
    "sample-videos__one-by-one-person-detection.mp4",
    "sample-videos__bottle-detection.mp4",
    "moviepy__big_buck_bunny_0_30.webm",
)
"""The longest two and the longest of another codec."""
SKIPPING = ("h264", "hevc")
"""Of the codecs here, those whose unwanted frames Reelfit leaves out undecoded."""


def run_apart(name: str, task: Any, seconds: int) -> list[dict[str, Any]]:
    """What ``decoders.py`` tells of one run."""
    peer = os.environ.get("DECODE_PEERS", sys.executable)
    program = str(Path(__file__).with_name("decoders.py"))
    try:
        child = subprocess.run(
            [peer if name in OTHERS else sys.executable, program, name, json.dumps(task)],
            env=child_environment(os.environ, threads=1, trains=False),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [{"end": f"killed after {seconds} s"}]
    lines = child.stdout.decode().splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"end"')]
    return found or [{"end": f"exit status {child.returncode}"}]


def make_task(path: Path, count: int, size: int | None) -> dict[str, Any]:
    """The middles of ``count`` equal parts, and the packets that Reelfit decodes for them."""
    with indexed_video(path) as video:
        index = video.index
        codec = video.opened.stream.codec_context.codec.canonical_name
    presented = index.presented()
    at = sample_frames(len(presented), count=count, sampling="uniform")
    kept = [int(presented[each]) for each in at]
    feed = {"runs": runs_of_packets(index, kept), "kept": kept, "skips": codec in SKIPPING}
    shown = {"frames": len(presented), "codec": codec}
    task = {"path": str(path), "at": at, "size": size, "feed": feed, "video": shown}
    return task | {"seconds": SECONDS}


def too_large(path: Path) -> str | None:
    """Why this video is not decoded whole."""
    with open_video(path) as video:
        context = video.stream.codec_context
        size = context.width * context.height * 3 * video.stream.frames
    return f"not run: {size / 2**30:.0f} GiB of frames" if size > WHOLE_FRAMES_AT_MOST else None


def measure_cells(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """All runs by cell and contender; in each round every contender has its turn at every cell."""
    runs: dict[str, dict[str, list[Any]]] = {cell: {name: [] for name in NAMES} for cell in cells}
    for turn in range(ROUNDS):
        for cell, task in cells.items():
            for name in NAMES if turn == 0 else NAMES_OF_EACH_ROUND:
                refused = too_large(Path(task["path"])) if name == "pyav_whole" else None
                found = {"end": refused} if refused else run_apart(name, task, SECONDS)[-1]
                runs[cell][name].append(found)
                print(turn, cell, name, found, flush=True)
    return runs


def told(runs: dict[str, list[Any]], exact: dict[str, str]) -> dict[str, Any]:
    """The rows of one cell: medians, and the median of each round's ratio to torchcodec."""
    rows: dict[str, Any] = {}
    for name, found in runs.items():
        ends = [one["end"] for one in found if one["end"] != "done"]
        if ends:
            rows[name] = {"end": ends[0]}
            continue
        rows[name] = {
            "cpu_seconds": round(median(one["cpu_seconds"] for one in found), 3),
            "wall_seconds": round(median(one["wall_seconds"] for one in found), 3),
            "peak_over_base_mib": round(median(one["peak_bytes"] for one in found) / MIB, 1),
            "exact": exact[name],
        }
        for against in ("torchcodec_exact", "floor"):
            pairs = zip(found, runs[against], strict=False)  # some have one round
            if all(other["end"] == "done" for other in runs[against]):
                ratio = median(one["cpu_seconds"] / other["cpu_seconds"] for one, other in pairs)
                rows[name][f"cpu_to_{against}"] = round(ratio, 3)
    return rows


def verdicts(tasks: dict[str, dict[str, Any]], names: list[str]) -> dict[str, dict[str, Any]]:
    """How the frames of each task at full size compare with a full decode, by contender."""
    found: dict[str, dict[str, Any]] = {key: {} for key in tasks}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            asked = [
                {**task, "size": None, "signatures": f"{folder}/{name}{place}.npy"}
                for place, task in enumerate(tasks.values())
            ]
            ends = run_apart(name, asked, sum(task["seconds"] for task in asked))
            ends = ends if len(ends) == len(asked) else ends[-1:] * len(asked)  # it died itself
            print(name, len(ends), "files", flush=True)
            for key, end in zip(tasks, ends, strict=True):
                found[key][name] = end
        for place, (key, task) in enumerate(tasks.items()):
            reference = full_decode(Path(task["path"]), task["at"])
            found[key]["as_in_frames_csv"] = reference.md5s == task.get("md5s")
            for name in names:
                if found[key][name]["end"] == "done":
                    shown = np.load(f"{folder}/{name}{place}.npy")
                    found[key][name] = judge(shown, reference, task["at"])
    return found


def exactness(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Of each cell's frames, how many are exact, by contender, in words."""
    names = [name for name in NAMES if name not in {"floor", "pyav_whole"}]
    rows: dict[str, dict[str, str]] = {}
    asked = {str((task["path"], task["at"])): task for task in cells.values()}
    judged = verdicts(asked, names)
    for cell, task in cells.items():
        found = judged[str((task["path"], task["at"]))]
        rows[cell] = {"floor": "nothing is converted", "pyav_whole": "the reference"}
        for name in names:
            one = found[name]
            said = f"{one['exact']}/{one['asked']}" if "exact" in one else one["end"]
            rows[cell][name] = said
    return rows


def real_files() -> dict[str, Any]:
    """Exact, silently wrong and error over all of ``../shared/videos``, by library."""
    tasks: dict[str, dict[str, Any]] = {}
    for name, asked in shared_frames().items():
        path = SHARED / name
        task = {"path": str(path), "at": list(asked), "md5s": asked, "seconds": SECONDS_OF_REAL}
        with open_video(path) as video:
            context = video.stream.codec_context
            if (context.sample_aspect_ratio or 1) != 1:
                task["stored_size"] = (context.height, context.width)
        tasks[name] = task
    files = verdicts(tasks, ["reelfit", "torchcodec_exact", "decord", "opencv_grab"])
    agreed = sum(row.pop("as_in_frames_csv") for row in files.values())
    return {"files": len(files), "references_as_in_frames_csv": agreed, **counted(files)}


def counted(files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The three counts of each library, and what they are made of."""
    counts: dict[str, Any] = {}
    for file, row in files.items():
        for name, one in row.items():
            sums = counts.setdefault(name, {"exact": 0, "silently_wrong": {}, "error": {}})
            if "exact" not in one:
                sums["error"][file] = one["end"]
            elif "other_size" in one:  # where there are several streams, readers differ in which
                sums.setdefault("other_stream", {})[file] = one["other_size"]
            elif one["exact"] < one["asked"]:
                sums["silently_wrong"][file] = one
            else:
                sums["exact"] += 1
            if one.get("turn", 0) != row["reelfit"].get("turn", 0):
                sums.setdefault("turned_otherwise", []).append(file)
            if one.get("matrix", PLAIN) != PLAIN:
                sums.setdefault("other_matrix", {})[file] = one["matrix"]
            worst = max(sums.get("colours_off", 0), one.get("colours_off", 0))
            sums["colours_off"] = worst
    return {"libraries": counts}


def table(rows: dict[str, dict[str, Any]], kept: list[dict[str, Any]]) -> None:
    """The cells and the goals, for people."""
    for cell, found in rows.items():
        print(f"\n{cell}\n{'':24}{'CPU s':>8}{'ratio':>7}{'wall s':>8}{'MiB':>8}  exact")
        for name, row in found.items():
            if "end" in row:
                print(f"{name:24}{row['end']}")
                continue
            ratio = row.get("cpu_to_torchcodec_exact", float("nan"))
            times = f"{row['cpu_seconds']:8.3f}{ratio:7.2f}{row['wall_seconds']:8.3f}"
            print(f"{name:24}{times}{row['peak_over_base_mib']:8.1f}  {row['exact']}")
    print()
    for goal in kept:
        held = {True: "holds", False: "does NOT hold"}.get(goal["held"], goal["held"])
        print(f"{goal['goal']}, {goal['limit']}: {held} ({goal.get('worst')}, {goal.get('of')})")


def find_videos(names: list[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The files there are, and why others are not."""
    there: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for name in names or (*VIDEOS, *REAL):
        path = made_video(name, VIDEOS[name]) if name in VIDEOS else SHARED / name
        if path is None:
            missing[name] = "this PyAV has no encoder for it"
        elif not path.exists():
            missing[name] = f"{path} is not there"
        else:
            there[name] = path
    return there, missing


def main() -> None:
    """The grid, the goals, and the real files."""
    videos, missing = find_videos(sys.argv[1:])
    warm_up = made_video("tiny.mp4", TINY)
    assert warm_up is not None
    tiny = make_task(warm_up, 2, 64)
    cells = {}
    for name, path in videos.items():
        for count, size in CELLS_OF_MAIN if name == MAIN else [CELL]:
            cell = f"{name}: {count} frames at {size}"
            cells[cell] = make_task(path, count, size) | {"warm_up": tiny}
    exact = exactness(cells)
    runs = measure_cells(cells)
    rows = {cell: told(runs[cell], exact[cell]) for cell in cells}
    judged = goals(rows, {cell: task["video"]["codec"] for cell, task in cells.items()})
    table(rows, judged)
    if missing:
        print("left out:", missing)
    if sys.argv[1:]:
        return
    figures = {
        "rounds": ROUNDS,
        "left_out": missing,
        "goals": judged,
        "cells": {cell: {"video": cells[cell]["video"], "rows": rows[cell]} for cell in cells},
        "real_files": real_files(),
    }
    write_result("decoding", figures)


if __name__ == "__main__":
    main()

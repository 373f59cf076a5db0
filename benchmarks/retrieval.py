"""Reelfit's retrieval metrics beside others, at 117,120 videos x 23,592 texts x 512 dimensions.

Ours give every measure in both directions from exact ranks; beside them the original systems'
streaming algorithm written anew (one direction), FAISS's flat search (the best ten both ways),
scikit-learn's chunked distances (one direction), torchmetrics (2,000 videos), and the product of
the features alone, which nothing exact can be faster than. Each measurement is a fresh process on
all processors, in turn, three times; what takes long has one. The others live in an environment of
their own, whose interpreter ``RETRIEVAL_PEERS`` names::

    python -m venv /tmp/retrieval_peers
    /tmp/retrieval_peers/bin/pip install -c constraints.txt torch \
        faiss-cpu torchmetrics scikit-learn
    RETRIEVAL_PEERS=/tmp/retrieval_peers/bin/python python benchmarks/retrieval.py

What is not installed is said. With numbers of videos and texts it is smaller, and nothing is kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measured import write_result

from reelfit.memory.allocator import child_environment

MIB = 2**20
VIDEOS, TEXTS, WIDTH = 117_120, 23_592, 512
ROUNDS, SECONDS = 3, 1800
SIGNAL = 0.2
"""The share of each video's text in its features, beside noise of length 1."""
OTHERS = ("faiss_flat", "scikit_learn", "torchmetrics_flat")
NAMES = ("reelfit", "product", "product_by_threads", "faiss_flat")
NAMES_OF_FIRST_ROUND = (*NAMES, "reelfit_settled", "scikit_learn", "torchmetrics_flat", "original")
Row = dict[str, Any]


def make_features(folder: Path, videos: int, texts: int, signal: float) -> None:
    """Videos in random order, every text at least once where there are enough of them."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    text = draw.standard_normal((texts, WIDTH), dtype=np.float32)
    text /= np.linalg.norm(text, axis=1)[:, None]
    targets = draw.permutation(np.arange(videos) % texts)
    targets[texts:] = draw.integers(texts, size=max(0, videos - texts))
    video = draw.standard_normal((videos, WIDTH), dtype=np.float32)
    video /= np.linalg.norm(video, axis=1)[:, None]
    video += signal * text[targets]
    video /= np.linalg.norm(video, axis=1)[:, None]
    for name, array in (("video", video), ("text", text), ("targets", targets)):
        np.save(folder / f"{name}.npy", array)


def run_apart(name: str, folder: Path) -> Row:
    """What ``retrievers.py`` tells of one run."""
    peer = os.environ.get("RETRIEVAL_PEERS", sys.executable)
    program = str(Path(__file__).with_name("retrievers.py"))
    try:
        child = subprocess.run(
            [peer if name in OTHERS else sys.executable, program, name, str(folder)],
            env=child_environment(os.environ, threads=os.cpu_count() or 1),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"end": f"killed after {SECONDS} s"}
    lines = [line for line in child.stdout.splitlines() if line.startswith('{"end"')]
    return json.loads(lines[-1]) if lines else {"end": child.stderr.strip()[-300:]}


def told(runs: list[Row], operations: float) -> Row:
    """The medians of one contender."""
    ends = [run["end"] for run in runs if run["end"] != "done"]
    if ends:
        return {"end": ends[0]}
    cpu = median(run["cpu_seconds"] for run in runs)
    return {
        "wall_seconds": round(median(run["wall_seconds"] for run in runs), 2),
        "cpu_seconds": round(cpu, 2),
        "gflop_per_cpu_second": round(operations / cpu / 1e9, 1),
        "peak_over_features_mib": round(max(run["peak_bytes"] for run in runs) / MIB, 1),
        "runs": len(runs),
        "found": runs[0]["found"],
    }


def goals(rows: dict[str, Row]) -> list[Row]:
    """What issue 6 asks, each with what was measured."""

    def seconds(name: str) -> float | None:
        value: float | None = rows[name].get("cpu_seconds")
        return value

    ours, peak = seconds("reelfit"), rows["reelfit"].get("peak_over_features_mib")
    products = [one for one in (seconds("product"), seconds("product_by_threads")) if one]
    original, faiss = seconds("original"), seconds("faiss_flat")
    found = [
        ("processor time to the original's one direction", 1 / 15, original),
        ("processor time to FAISS both ways", 0.5, faiss),
        ("processor time to the fastest product alone", 1 / 0.8, min(products, default=None)),
    ]
    told_goals: list[Row] = []
    for goal, limit, other in found:
        ratio = ours / other if ours and other else None
        held = "not measured" if ratio is None else ratio <= limit
        told_goals.append({"goal": goal, "at_most": limit, "measured": ratio, "held": held})
    held = "not measured" if peak is None else peak <= 300
    told_goals.append(
        {"goal": "MiB over the features", "at_most": 300, "measured": peak, "held": held}
    )
    return told_goals


def main() -> None:
    """The rounds, the goals, and ours on features that have learnt nothing."""
    videos, texts = (int(one) for one in sys.argv[1:3]) if sys.argv[1:] else (VIDEOS, TEXTS)
    operations = 2.0 * videos * texts * WIDTH
    runs: dict[str, list[Row]] = {name: [] for name in NAMES_OF_FIRST_ROUND}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "trained"
        make_features(folder, videos, texts, SIGNAL)
        for turn in range(ROUNDS):
            for name in NAMES_OF_FIRST_ROUND if turn == 0 else NAMES:
                runs[name].append(run_apart(name, folder))
                print(turn, name, runs[name][-1], flush=True)
        make_features(Path(place) / "untrained", videos, texts, 0.0)
        untrained = told([run_apart("reelfit", Path(place) / "untrained")], operations)
    rows = {name: told(found, operations) for name, found in runs.items()}
    rows["reelfit_untrained_features"] = untrained
    figures = {
        "videos": videos,
        "texts": texts,
        "dimensions": WIDTH,
        "signal": SIGNAL,
        "rounds": ROUNDS,
        "goals": goals(rows),
        "rows": rows,
    }
    if sys.argv[1:]:
        print(json.dumps(figures, indent=1))
        return
    write_result("retrieval", figures)


if __name__ == "__main__":
    main()

"""Reelfit's exact step beside what others offer against running out of memory.

An epoch from a batch that does not fit, and the largest batch that trains within a budget; each in
a process of its own under a hard limit on its data segment, in turn. The others live in an
environment of their own, whose interpreter ``RIVALS`` names::

    python -m venv /tmp/rivals
    /tmp/rivals/bin/pip install -c constraints.txt torch accelerate==1.15.0 lightning==2.6.6
    RIVALS=/tmp/rivals/bin/python python benchmarks/rivals.py

All have the C library's settings that our own processes have, which few of their users know of:
freed tensors are back with the system at once. Only Reelfit can be told what it may hold.

Never lightning 2.6.2 or 2.6.3, which were malicious. Composer 0.32.1 wants torch below 2.7.1 and
goes in with ``--no-deps`` alone. What is not installed is said.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from measured import write_result

from reelfit.memory.allocator import child_environment

MIB = 2**20
SAMPLES, BATCH, OVER_MIB, ROUNDS = 232, 64, 96, 3
BUDGETS_GIB = (1, 2, 4, 8)
LARGEST_PER_GIB, SMALLEST = 2048, 64  # tried by halves from the largest on
SECONDS = 900
OTHERS = ("accelerate", "accelerate_halving", "lightning", "composer")


def contend(name: str, task: dict[str, Any]) -> dict[str, Any]:
    """What ``contenders.py`` tells of one run."""
    other = name in OTHERS
    python = os.environ.get("RIVALS", sys.executable) if other else sys.executable
    environment = child_environment(os.environ, threads=1)
    if other and "RIVALS_PATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["RIVALS_PATH"]
    script = Path(__file__).with_name("contenders.py")
    try:
        done = subprocess.run(
            [python, str(script), name, json.dumps(task)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            cwd=tempfile.gettempdir(),  # Lightning leaves a file where it stands
        )
    except subprocess.TimeoutExpired:
        return {"end": f"not done after {SECONDS} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"end": f"exit status {done.returncode}: {done.stderr.strip()[-160:]}"}
    return dict(json.loads(lines[-1]))


def error_of(found: Path, wanted: Path) -> list[float] | None:
    """The relative difference of the gradients of the first and of the last step."""
    import torch

    if not found.exists():
        return None
    pairs = zip(torch.load(found), torch.load(wanted), strict=False)
    return [float(f"{float((a - b).norm() / b.norm()):.2g}") for a, b in pairs]


def epoch(folder: Path) -> dict[str, Any]:
    """One epoch from a batch that does not fit."""
    wanted = folder / "wanted.pt"
    task = {"samples": SAMPLES, "batch": BATCH}
    unlimited = contend("plain", task | {"gradients": str(wanted)})
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(ROUNDS):
        for name in ("plain", *OTHERS, "reelfit"):
            place = folder / f"{name}.pt"
            limited = task | {"over_bytes": OVER_MIB * MIB, "gradients": str(place)}
            runs.setdefault(name, []).append(contend(name, limited))
            print(name, {k: v for k, v in runs[name][-1].items() if k != "samples"}, flush=True)
    rows = {"plain, without a limit": told(unlimited)}
    for name, found in runs.items():
        done = [one for one in found if one["end"] == "done"]
        rows[name] = told(done[-1]) if done else {}
        rows[name]["ends"] = dict(Counter(one["end"] for one in found))
        if done:
            rows[name]["seconds"] = round(median(one["seconds"] for one in done), 2)
        if found[-1]["end"] == "done":
            rows[name]["gradient_error"] = error_of(folder / f"{name}.pt", wanted)
    return rows


def told(found: dict[str, Any]) -> dict[str, Any]:
    """A row of the table."""
    if found["end"] != "done":
        return {"end": found["end"]}
    seen = found["samples"]
    return {
        "end": "done",
        "seconds": round(found["seconds"], 2),
        "peak_over_base_mib": round(found["peak_bytes"] / MIB, 1),
        "optimizer_steps": len(found["sizes"]),
        "samples_of_first_and_last_step": [found["sizes"][0], found["sizes"][-1]],
        "samples_lost": SAMPLES - len(set(seen)),
        "samples_twice": len(seen) - len(set(seen)),
    }


def largest(name: str, gib: int) -> dict[str, Any]:
    """The largest batch that made one step of exactly its samples, and what ended a larger one."""
    batch, ended = gib * LARGEST_PER_GIB, "more was not tried"
    while batch >= SMALLEST:
        found = contend(name, {"samples": batch, "batch": batch, "budget_bytes": gib * 1024 * MIB})
        print(name, gib, batch, found["end"], found.get("seconds"), flush=True)
        if found["end"] == "done" and found["sizes"] == [batch]:
            return {"batch": batch, "more": ended, "seconds": round(found["seconds"], 1)}
        done = found["end"] == "done"
        ended = f"steps of {found['sizes'][:4]} samples" if done else found["end"]
        batch //= 2
    return {"batch": 0, "more": ended}


def main() -> None:
    """Both tables."""
    with tempfile.TemporaryDirectory() as folder:
        rows = epoch(Path(folder))
    # Accelerate as shipped takes 0.9 of a batch, which then is not the one that was asked for.
    names = ["plain", "accelerate_halving", "lightning", "reelfit"]
    batches: dict[str, Any] = {}
    for gib in BUDGETS_GIB:
        batches[f"{gib} GiB"] = {name: largest(name, gib) for name in names}
        figures = {
            "samples": SAMPLES,
            "batch": BATCH,
            "limit_over_base_mib": OVER_MIB,
            "rounds": ROUNDS,
            "contenders": rows,
        }
        tried = {"largest_per_gib": LARGEST_PER_GIB, "seconds_at_most": SECONDS}
        most = tried | {"within": batches}
        write_result("rivals", {"epoch": figures, "largest_batch": most})


if __name__ == "__main__":
    main()

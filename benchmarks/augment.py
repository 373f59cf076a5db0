"""A chain of augmentations beside what other libraries offer, in ms of processor time per clip.

Flip, crop (translation and scale), rotation, colour, blur, noise and JPEG on 8 frames of
224 x 224, all done to every clip, by one thread; each contender in a fresh process, in turn. The
others live in an environment of their own, whose interpreter ``AUGMENT_PEERS`` names::

    python -m venv /tmp/augment_peers
    /tmp/augment_peers/bin/pip install -c constraints.txt torch kornia albumentations==2.0.8 pillow
    /tmp/augment_peers/bin/pip install --no-deps torchvision==0.28.0
    AUGMENT_PEERS=/tmp/augment_peers/bin/python python benchmarks/augment.py

Without it only ours is measured, and the others are said to be missing. All have the environment
that our own processes have that make clips.
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
from sklearn.datasets import load_sample_image

from reelfit.memory.allocator import child_environment

ROUNDS = 9
FRAMES, SIZE = 8, 224
OTHERS = ("kornia", "albumentations", "torchvision")
GOALS = {"kornia": 0.35, "albumentations": 1.5}


def photographed(path: Path) -> None:
    """A photograph filmed by a camera that moves, as an array."""
    picture = load_sample_image("flower.jpg").transpose(2, 0, 1)
    starts = [100 + 8 * number for number in range(FRAMES)]
    np.save(path, np.stack([picture[:, 60 : 60 + SIZE, left : left + SIZE] for left in starts]))


def contend(name: str, path: Path) -> dict[str, Any]:
    """What ``augmenters.py`` tells of one process."""
    python = sys.executable
    if name in OTHERS:
        if "AUGMENT_PEERS" not in os.environ:
            return {"missing": "AUGMENT_PEERS names no interpreter"}
        python = os.environ["AUGMENT_PEERS"]
    script = Path(__file__).with_name("augmenters.py")
    done = subprocess.run(
        [python, "-W", "ignore", str(script), name, str(path)],
        env=child_environment(os.environ, threads=1, trains=False),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"missing": f"exit status {done.returncode}: {done.stderr.strip()[-160:]}"}
    return dict(json.loads(lines[-1]))


def told(found: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of the table: the medians over the rounds."""
    if "missing" in found[-1]:
        return found[-1]
    return {
        what: round(median(one[what] for one in found), 2) if type(value) is float else value
        for what, value in found[-1].items()
    }


def main() -> None:
    """The table, with ours over theirs as the median of the rounds."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.npy"
        photographed(path)
        for _ in range(ROUNDS):
            for name in ("reelfit", *OTHERS):
                runs.setdefault(name, []).append(contend(name, path))
                print(name, runs[name][-1], flush=True)
    ratios = {
        name: round(
            median(a["chain"] / b["chain"] for a, b in zip(runs["reelfit"], found, strict=True)), 3
        )
        for name, found in runs.items()
        if name in OTHERS and "missing" not in found[-1]
    }
    figures = {
        "clock": "processor time, one thread",
        "clip": [FRAMES, 3, SIZE, SIZE],
        "rounds": ROUNDS,
        "ms_per_clip": {name: told(found) for name, found in runs.items()},
        "reelfit_over": ratios,
        "goals": GOALS,
    }
    write_result("augment", figures)


if __name__ == "__main__":
    main()

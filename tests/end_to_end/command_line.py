"""The command as its users give it, and a study for it."""

import os
import subprocess
import sys
from pathlib import Path

from reelfit.runs import Run

STUDY = """\
task: classify
name: small
videos: {table: videos.csv, path: video_path, label: label, group: source_id}
memory: {host: 3GiB}
clips: {frames: 4, size: 32, copies: 1, augment: light}
folds: {count: 3}
models: [handcrafted_logistic, {name: naive_cnn, channels: [8, 16]}]
train: {epochs: 2, effective_batch: 8}
evaluate: {bootstrap: 100}
"""


def reelfit(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """The command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "reelfit", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def newest_run(folder: Path) -> Run:
    return Run(max((folder / "runs" / "small").glob("run_*")))

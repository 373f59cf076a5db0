"""The demo can be learnt, and by its labels alone."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from command_line import reelfit
from reelfit.demo import make_demo_set
from reelfit.runs import Run

STUDY = """\
name: {name}
videos: {{table: {name}.csv, path: video_path, label: label, group: source_id}}
memory: {{host: 3GiB}}
clips: {{frames: 8, size: 96, copies: 0}}
models: [handcrafted_logistic]
"""


def roc_auc(folder: Path, name: str) -> tuple[float, float, float]:
    (folder / f"{name}.yaml").write_text(STUDY.format(name=name))
    done = reelfit("run", folder / f"{name}.yaml", "-q")
    assert done.returncode == 0, done.stderr
    summary = pl.read_parquet(Run(Path(done.stdout.strip()).parent).file("summary.parquet"))
    row = summary.filter(pl.col("metric") == "roc_auc").row(0, named=True)
    return row["low"], row["out_of_fold"], row["high"]


@pytest.mark.slow
def test_the_demo_is_learnt_and_with_permuted_labels_it_is_not(tmp_path: Path) -> None:
    make_demo_set(tmp_path)
    table = pl.read_csv(tmp_path / "videos.csv").sort("source_id", "label")
    table.write_csv(tmp_path / "as_labelled.csv")
    swapped = np.random.default_rng(5).integers(0, 2, table.height // 2).repeat(2)
    labels = table["label"].to_numpy() ^ swapped
    table.with_columns(label=pl.Series(labels)).write_csv(tmp_path / "permuted.csv")
    low, value, _ = roc_auc(tmp_path, "as_labelled")
    assert value > 0.7
    assert low > 0.6
    low, value, high = roc_auc(tmp_path, "permuted")
    assert value < 0.65
    assert low < 0.55
    assert high < 0.75

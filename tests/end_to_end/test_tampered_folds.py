"""A run whose folds leak stops before it trains on them, and says which videos."""

import shutil
from pathlib import Path

import polars as pl

from command_line import newest_run, reelfit
from reelfit.data import tables
from reelfit.runs import Run


def test_a_copy_of_a_video_is_in_the_tables_and_in_the_report(finished: Run) -> None:
    duplicates = tables.read_table(finished.file("duplicates.parquet"), tables.DUPLICATES)
    (twin,) = duplicates.filter(pl.col("kind") == "content").to_dicts()
    assert twin["other_path"] == "videos/twin.mp4"
    assert twin["other_group"] == "a copy"
    assert "videos/twin.mp4" in finished.file("report.md").read_text()
    fingerprints = tables.read_table(finished.file("fingerprints.parquet"), tables.FINGERPRINTS)
    assert fingerprints.height == 12
    assert set(fingerprints["fingerprint"].list.len()) == {4}  # clips have 4 frames here


def test_folds_that_were_tampered_with_stop_the_run_and_name_the_videos(
    finished: Run, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished.folder.parents[2], tmp_path / "tampered"))
    run = newest_run(folder)
    folds = pl.read_parquet(run.file("folds.parquet"))
    moved = folds.row(0, named=True)
    other = pl.when(pl.col("video_id") == moved["video_id"]).then(moved["fold"] % 3 + 1)
    folds.with_columns(other.otherwise(pl.col("fold")).cast(pl.Int32).alias("fold")).write_parquet(
        run.file("folds.parquet")
    )
    for name in ("train.json", "finished.json"):  # as if it had been killed while it trained
        (run.state / name).unlink()
    (run.fold("naive_cnn", 2) / "result.json").unlink()
    done = reelfit("run", folder / "study.yaml")
    assert done.returncode == 1
    assert "stand on both sides of a fold" in done.stderr
    assert moved["path"] in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run.fold("naive_cnn", 2) / "result.json").exists()
    run.file("folds.parquet").write_bytes(finished.file("folds.parquet").read_bytes())
    mended = reelfit("run", folder / "study.yaml")
    assert mended.returncode == 0, mended.stderr
    assert newest_run(folder) == run

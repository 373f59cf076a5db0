"""The stage ``features`` in whole runs: once for all, never a zero for what cannot be decoded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest

from command_line import newest_run, reelfit
from reelfit.data import tables
from reelfit.features import FEATURE_NAMES
from reelfit.files import append_json_line, read_json_lines
from reelfit.memory.record import MemoryLog
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.runs import Run
from reelfit.stages.feature_models import fit_features
from reelfit.stages.fold import sides_of
from reelfit.stages.stage import Context
from reelfit.study_yaml import read_study

SHORT = ("--set", "train.epochs=1", "--set", "folds.count=2", "--set", "launch.workers=1")
SCHEMA = tables.features_schema(FEATURE_NAMES)
HANDCRAFTED = ("--set", "models=[handcrafted_logistic]")


def test_every_video_has_one_row_and_what_was_cut_is_told(finished: Run) -> None:
    features = tables.read_table(finished.file("features.parquet"), SCHEMA)
    folds = tables.read_table(finished.file("folds.parquet"), tables.FOLDS)
    assert features["video_id"].to_list() == folds["video_id"].to_list()
    assert features["is_downscaled"].to_list() == [1.0] * 12
    cut = tables.read_table(finished.file("cut_features.parquet"), tables.CUT_FEATURES)
    assert cut["model"].unique().to_list() == ["handcrafted_logistic"]
    assert sorted(cut["fold"].unique()) == [1, 2, 3]
    constant = cut.filter(pl.col("reason") == "constant")["feature"]
    assert {"is_upscaled", "is_downscaled"} <= set(constant)
    assert "handcrafted_logistic left " in finished.file("report.md").read_text()
    assert "cut_features.parquet" in finished.file("report.html").read_text()


def damage_the_end(path: Path) -> None:
    """Zeroes the slices of the last packets but one, behind all that a clip of 4 frames needs."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[-8:-1]:
        content[position + 6 : position + size] = bytes(size - 6)
    path.write_bytes(content)


@pytest.mark.slow
def test_a_video_without_features_is_rejected_and_no_model_sees_it(
    copy_of_set: Callable[[str], Path],
) -> None:
    folder = copy_of_set("damaged")
    table = pl.read_csv(folder / "videos.csv")
    name = table.row(2, named=True)["video_path"]
    damage_the_end(folder / name)
    done = reelfit("run", folder / "study.yaml", "--json", *SHORT)
    assert done.returncode == 0, done.stderr
    run = newest_run(folder)
    rejected = tables.read_table(run.file("rejected.parquet"), tables.REJECTED)
    (row,) = rejected.filter(pl.col("stage") == "features").rows(named=True)
    assert (row["path"], row["row"], row["reason"]) == (name, 3, "damaged frame")
    folds = tables.read_table(run.file("folds.parquet"), tables.FOLDS)
    (identity,) = folds.filter(pl.col("path") == name)["video_id"]
    clips = tables.read_table(run.file("clips.parquet"), tables.CLIPS)
    assert identity in clips["video_id"].to_list()  # its clip is whole
    features = tables.read_table(run.file("features.parquet"), SCHEMA)
    assert identity not in features["video_id"].to_list()
    predictions = tables.read_table(run.file("predictions.parquet"), tables.PREDICTIONS)
    assert predictions.group_by("model").len()["len"].to_list() == [11, 11]
    assert identity not in predictions["video_id"].to_list()
    assert "1 video had a frame" in run.file("report.md").read_text()


@pytest.mark.slow
def test_other_clips_measure_no_video_anew_and_networks_alone_measure_none(
    copy_of_set: Callable[[str], Path],
) -> None:
    folder = copy_of_set("again")
    run = ("run", folder / "study.yaml", "--json", *SHORT)
    alone = "models=[{name: naive_cnn, channels: [8, 16]}]"
    none = json.loads(reelfit(*run, "--set", alone).stdout.splitlines()[-1])["run"]
    assert tables.read_table(Path(none) / "features.parquet", SCHEMA).is_empty()
    assert tables.read_table(Path(none) / "cut_features.parquet", tables.CUT_FEATURES).is_empty()
    assert not (folder / "runs/_store/features").exists()
    found = []
    for size in (32, 1024):
        done = reelfit(*run, *HANDCRAFTED, "--set", f"clips.size={size}")
        assert done.returncode == 0, done.stderr
        found.append(Path(json.loads(done.stdout.splitlines()[-1])["run"]))
    first, second = (tables.read_table(run / "features.parquet", SCHEMA) for run in found)
    assert first["is_upscaled"].to_list() == second["is_downscaled"].to_list() == [0.0] * 12
    assert second["is_upscaled"].to_list() == [1.0] * 12
    scaling = ("is_upscaled", "is_downscaled")
    assert first.drop(scaling).equals(second.drop(scaling))
    units = [
        event["unit"]
        for event in read_json_lines(found[1] / "events.jsonl")
        if event["event"] == "unit_ends" and event["stage"] == "features"
    ]
    assert units == ["gather"]


def test_a_slice_that_was_killed_goes_on_at_the_next_video(
    small_set: Path, finished: Run, copy_of_set: Callable[[str], Path]
) -> None:
    folder = copy_of_set("killed")
    shutil.copytree(small_set / "runs/_store", folder / "runs/_store")
    (place,) = (folder / "runs/_store/features").iterdir()
    part = sorted(place.glob("*.parquet"))[0]
    row = pl.read_parquet(part).row(0, named=True) | {"noise_residual_mean_mean": -1.0}
    part.unlink()
    append_json_line(part.with_suffix(".jsonl"), row)  # as if it had got so far
    with part.with_suffix(".jsonl").open("a") as torn:
        torn.write('{"video_id": "0')
    done = reelfit("run", folder / "study.yaml", "--set", "launch.workers=1", *HANDCRAFTED)
    assert done.returncode == 0, done.stderr
    column = ["video_id", "noise_residual_mean_mean"]
    before = pl.read_parquet(finished.file("features.parquet")).select(column)
    after = pl.read_parquet(newest_run(folder).file("features.parquet")).select(column)
    changed = pl.col("video_id") == row["video_id"]
    assert after.filter(changed)["noise_residual_mean_mean"].to_list() == [-1.0]  # not done again
    assert after.filter(~changed).equals(before.filter(~changed))
    # Of the other video of that slice another slice was made, which is whole.
    assert {len(pl.read_parquet(path)) for path in place.glob("*.parquet")} == {1, 2}
    assert [path.stem for path in place.glob("*.jsonl")] == [part.stem]


def test_the_cut_is_of_the_training_videos_alone(finished: Run, tmp_path: Path) -> None:
    """The same training rows beside quite other validation rows: the same cut, bit for bit."""
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run" / finished.folder.name))
    run = Run(folder)
    study = read_study(run.study_file, environment={})
    _, validation = sides_of(run, 1)
    features = pl.read_parquet(run.file("features.parquet"))
    held = pl.col("video_id").is_in(validation["video_id"].to_list())
    generator = np.random.default_rng(0)
    noise = [
        pl.when(held).then(pl.Series(generator.normal(0, 1e6, 12))).otherwise(name).alias(name)
        for name in FEATURE_NAMES
    ]
    features.with_columns(noise).write_parquet(run.file("features.parquet"))
    before = (run.fold("handcrafted_logistic", 1) / "cut_features.parquet").read_bytes()
    predictions = pl.read_parquet(run.fold("handcrafted_logistic", 1) / "predictions.parquet")
    context = Context(
        key="",
        threads=1,
        memory=MemoryLog(run.file("memory.jsonl"), {}, place={"model": "handcrafted_logistic"}),
        report_progress=lambda done, total: None,
        event=lambda *_, **__: None,
        should_stop=lambda: False,
    )
    fit_features(run, study, "handcrafted_logistic", HandcraftedLogistic(), 1, context)
    after = run.fold("handcrafted_logistic", 1) / "cut_features.parquet"
    assert after.read_bytes() == before
    assert not pl.read_parquet(after.with_name("predictions.parquet")).equals(predictions)

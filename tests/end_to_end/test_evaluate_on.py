"""Trained models on another set: what is judged, what is left out, and that nothing is trained."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from command_line import newest_run, reelfit
from reelfit.data import evaluation_tables as schemas
from reelfit.data.shards import ShardReader
from reelfit.data.tables import read_table
from reelfit.demo import make_demo_set
from reelfit.files import read_json_lines
from reelfit.models import make_model
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.others import study_on
from reelfit.study_yaml import read_study
from reelfit.training.checkpoint import load_checkpoint

MODELS = ["handcrafted_logistic", "naive_cnn"]


def encode_again(video: Path, copy: Path) -> None:
    """The same pictures, worse."""
    with av.open(str(video)) as opened, av.open(str(copy), "w") as written:
        shown = opened.streams.video[0]
        stream = written.add_stream("libx264", rate=shown.average_rate, options={"crf": "30"})
        stream.height, stream.width, stream.pix_fmt = shown.height, shown.width, "yuv420p"
        for frame in opened.decode(shown):
            picture = frame.to_ndarray(format="rgb24")
            written.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        written.mux(stream.encode(None))


def make_other_set(folder: Path, own: Path) -> None:
    """Six scenes of its own, a copy of a video of the study, one that looks alike, and a text."""
    make_demo_set(folder, sources=6, seed=5)
    table = pl.read_csv(folder / "videos.csv").select("video_path", "label", "source_id")
    taken = pl.read_csv(own / "videos.csv").row(1, named=True)
    alike = pl.read_csv(own / "videos.csv").row(4, named=True)
    shutil.copy(own / taken["video_path"], folder / "videos" / "taken.mp4")
    encode_again(own / alike["video_path"], folder / "videos" / "alike.mp4")
    (folder / "videos" / "text.mp4").write_text("no video")
    first = table.row(0, named=True)
    more = [
        {"video_path": "videos/taken.mp4", "label": taken["label"], "source_id": "taken"},
        {"video_path": "videos/alike.mp4", "label": alike["label"], "source_id": "alike"},
        {"video_path": "videos/text.mp4", "label": first["label"], "source_id": "text"},
    ]
    every = pl.concat([table, pl.DataFrame(more, schema=table.schema)])
    every.with_columns("other " + pl.col("source_id")).write_csv(folder / "lab.csv")


def events_of(run: Run) -> list[dict[str, object]]:
    return read_json_lines(run.file("events.jsonl"))


@pytest.fixture(scope="module")
def folder(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its set, copied, and another set beside the study."""
    place = tmp_path_factory.mktemp("across")
    shutil.copytree(finished.folder.parents[2], place / "own")
    make_other_set(place / "lab", place / "own")
    return place / "own"


@pytest.fixture(scope="module")
def judged(folder: Path, finished: Run) -> Run:
    """The finished run, asked for the other set and killed on its way there."""
    command = [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "-q"]
    command += ["--set", "evaluate_on=../lab/lab.csv"]
    run = newest_run(folder)
    process = subprocess.Popen(command, start_new_session=True)
    while not (run.state / "other_features.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return run


def test_nothing_is_trained_or_done_again(judged: Run, finished: Run, folder: Path) -> None:
    assert newest_run(folder) == judged
    new = events_of(judged)[len(events_of(finished)) :]
    done = [
        (e["stage"], e["unit"]) for e in new if e["event"] == "unit_ends" if e["outcome"] == "done"
    ]
    stages = {stage for stage, _ in done}
    assert stages == {
        *("other_index", "other_clips", "other_features", "predict_others", "judge_others"),
        "report",
    }
    assert len(done) == len(set(done)), "a unit that was done was done again"
    for path in finished.folder.rglob("*.safetensors"):
        same = judged.folder / path.relative_to(finished.folder)
        assert same.stat().st_mtime_ns == path.stat().st_mtime_ns
    assert (judged.store.parent / "_store").is_dir()
    assert not list(judged.folder.rglob("_store"))


def test_rows_that_cannot_be_used_or_that_the_study_has_are_listed(judged: Run) -> None:
    rows = read_table(judged.file("evaluate_on_rejected.parquet"), schemas.OTHERS_REJECTED)
    told = {row["path"]: row for row in rows.to_dicts()}
    assert set(told) == {"videos/taken.mp4", "videos/alike.mp4", "videos/text.mp4"}
    assert told["videos/taken.mp4"]["reason"] == "the study has a video of the same content"
    assert told["videos/alike.mp4"]["reason"] == "it looks like a video of the study"
    assert told["videos/text.mp4"]["stage"] == "index"
    own = pl.read_csv(judged.folder.parents[2] / "videos.csv")["video_path"]
    assert told["videos/taken.mp4"]["detail"] == own[1]
    assert not rows["kept"].any()
    said = read_table(judged.file("evaluate_on_predictions.parquet"), schemas.OTHERS_SAID)
    assert not set(said["path"]) & set(told)
    assert said["path"].n_unique() == 12
    assert said.height == 12 * len(MODELS) * (3 + 1)


def test_a_network_says_of_the_videos_what_its_checkpoint_does(judged: Run) -> None:
    study = read_study(judged.study_file, environment={})
    inside = judged.on("lab")
    said = pl.read_parquet(judged.file("evaluate_on_predictions.parquet"))
    clips = pl.read_parquet(inside.file("clips.parquet"))
    assert clips["copy"].to_list() == [0] * clips.height
    rows = said.filter(model="naive_cnn", fold=2).join(clips, on="video_id", maintain_order="left")
    folder = Clips().folder(inside, study_on(study, study.evaluate_on[0]))
    assert folder.is_relative_to(judged.store)
    network = make_model("naive_cnn", {"channels": [8, 16]}).build(num_outputs=2).eval()
    checkpoint = load_checkpoint(judged.fold("naive_cnn", 2) / "checkpoints" / "best.safetensors")
    network.load_state_dict(
        {k.removeprefix("model."): v for k, v in checkpoint.tensors.items() if "model." in k}
    )
    with ShardReader(folder) as reader, torch.inference_mode():
        for row in rows.to_dicts():
            pixels = reader.read(row["shard"], offset=row["offset"], num_bytes=row["bytes"])
            outputs = network(torch.from_numpy(pixels.copy())[None].float() / 127.5 - 1)
            wanted = outputs.double().softmax(1)[0].tolist()
            assert row["probabilities"] == pytest.approx(wanted, abs=1e-6)


def test_the_figures_are_those_of_the_predictions_by_hand(judged: Run) -> None:
    results = read_table(judged.file("evaluate_on.parquet"), schemas.EVALUATE_ON)
    said = pl.read_parquet(judged.file("evaluate_on_predictions.parquet"))
    summary = pl.read_parquet(judged.file("summary.parquet"))
    areas = results.filter(metric="roc_auc")
    assert areas.height == len(MODELS) * 2
    for row in areas.to_dicts():
        of_model = said.filter(model=row["model"])
        folds = [of_model.filter(fold=fold) for fold in (1, 2, 3)]
        scores = [np.array(part["probabilities"].to_list())[:, 1] for part in folds]
        targets = folds[0]["target"].to_numpy()
        if row["way"] == "each":
            value = np.mean([roc_auc_score(targets, score) for score in scores])
        else:
            value = roc_auc_score(targets, np.mean(scores, axis=0))
        before = summary.filter(model=row["model"], metric="roc_auc")["out_of_fold"][0]
        assert row["value"] == pytest.approx(value)
        assert row["out_of_fold"] == before
        assert row["drop"] == pytest.approx(before - value)
        assert 0 <= row["low"] < row["high"] <= 1
        assert row["drop_low"] < row["drop_high"]
        assert (row["videos"], row["groups"], row["remark"]) == (12, 6, "")


def test_the_report_tells_of_it(judged: Run) -> None:
    text = judged.file("report.md").read_text()
    section = text[text.index("## On other videos: lab") : text.index("## Comparison")]
    assert "judged on 12 videos of 6 groups" in section
    assert "2 videos left out: in the study, too" in section
    assert "1 row could not be used" in section
    assert "| ROC AUC | naive_cnn |" in section
    assert "evaluate_on from none to lab. No model was trained again" in text
    page = judged.file("report.html").read_text()
    assert '<h2 id="others">On other videos</h2>' in page
    assert "finished" in reelfit("status", judged.folder.parent).stdout


def test_sets_that_lack_a_class_or_all_or_keep_duplicates_say_so(judged: Run, folder: Path) -> None:
    table = pl.read_csv(folder.parent / "lab" / "lab.csv")
    table.filter(pl.col("label") == 1).write_csv(folder.parent / "lab" / "one.csv")
    table.filter(pl.col("video_path") == "videos/text.mp4").write_csv(
        folder.parent / "lab" / "none.csv"
    )
    sets = [
        {"table": "../lab/lab.csv", "duplicates": "keep", "name": "lab"},
        {"table": "../lab/one.csv"},
        {"table": "../lab/none.csv"},
        {"table": "videos.csv", "name": "own", "duplicates": "keep"},
    ]
    done = reelfit("run", folder / "study.yaml", "-q", "--set", f"evaluate_on={json.dumps(sets)}")
    assert done.returncode == 0, done.stderr
    results = pl.read_parquet(judged.file("evaluate_on.parquet"))
    assert set(results.filter(other="lab")["videos"]) == {14}
    of_one = results.filter(other="one")
    assert set(of_one["remark"]) == {"no video of the class 0 is there"}
    assert of_one.filter(metric="roc_auc")["value"].to_list() == [None] * 4
    assert of_one.filter(metric="accuracy")["value"].null_count() == 0
    rows = pl.read_parquet(judged.file("evaluate_on_rejected.parquet")).filter(other="lab")
    assert rows["kept"].sum() == 2
    said = pl.read_parquet(judged.file("evaluate_on_predictions.parquet")).filter(other="own")
    out_of_fold = pl.read_parquet(judged.file("predictions.parquet")).join(
        said, on=["model", "fold", "video_id"], maintain_order="left"
    )
    assert out_of_fold.height == 12 * len(MODELS)
    again = out_of_fold["probabilities_right"].to_list()
    assert again == out_of_fold["probabilities"].to_list(), "each fold says what it said before"
    text = judged.file("report.md").read_text()
    assert "No model could be judged on it: no video is left." in text
    assert "2 videos judged, as the study asks, though in the study" in text
    assert "no video of the class 0 is there" in text
    ends = [e for e in events_of(judged) if e["event"] == "unit_ends" and e["outcome"] == "done"]
    predicted = [e["unit"] for e in ends if e["stage"] == "predict_others"]
    assert len([unit for unit in predicted if str(unit).startswith("lab/")]) == 6


def test_a_label_that_the_study_does_not_have_is_named_with_its_row(
    copy_of_set: Callable[[str], Path],
) -> None:
    folder = copy_of_set("unknown")
    (folder / "other.csv").write_text(
        "video_path,label,source_id\nvideos/twin.mp4,0,a\nvideos/text.mp4,cat,b\n"
    )
    done = reelfit("run", folder / "study.yaml", "--set", "evaluate_on=other.csv")
    assert done.returncode == 2
    assert "other.csv: row 2 (videos/text.mp4): the label cat is none of the study's" in done.stderr
    assert "classes: 0, 1" in done.stderr
    assert not (folder / "runs").exists()
    (folder / "other.csv").write_text("video_path,label\nvideos/twin.mp4,0\n")
    done = reelfit("run", folder / "study.yaml", "--set", "evaluate_on=other.csv")
    assert "evaluate_on.group: there is no column source_id" in done.stderr

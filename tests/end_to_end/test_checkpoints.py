"""A study with networks from checkpoints, through the command line."""

from pathlib import Path

import polars as pl
import pytest
from transformers import AutoModelForVideoClassification

from command_line import newest_run, reelfit
from reelfit.files import read_json_lines
from reelfit.pipeline import stage_keys
from reelfit.stages.listed import listing_of
from reelfit.study_yaml import read_study
from small_checkpoints import save_small

REST = """\
folds: {count: 2}
models:
  - {name: videomae, weights: weights/videomae, train: head}
  - {name: vit_gru, weights: weights/vit, train: last_blocks, last_blocks: 1, hidden: 16}
train: {epochs: 1, effective_batch: 8}
evaluate: {bootstrap: 100}
"""


@pytest.mark.slow
def test_a_study_trains_checkpoints_and_trains_anew_when_their_content_changes(copy_of_set):
    folder: Path = copy_of_set("checkpoints")
    save_small("videomae", folder / "weights" / "videomae", num_frames=8)
    save_small("vit", folder / "weights" / "vit")
    study = folder / "study.yaml"
    study.write_text(study.read_text().partition("folds:")[0] + REST)
    done = reelfit("run", study)
    assert done.returncode == 0, done.stderr
    run = newest_run(folder)
    predictions = pl.read_parquet(run.file("predictions.parquet"))
    assert set(predictions["model"]) == {"videomae", "vit_gru"}
    adapted = [
        e for e in read_json_lines(run.file("events.jsonl")) if e["event"] == "clips_adapted"
    ]
    assert [(e["model"], e["frames"]) for e in adapted] == [("videomae", [4, 8])]
    # Each once, for all folds and epochs; a copy may have the pixels of its original.
    clips = pl.read_parquet(run.file("clips.parquet"))["crc32"].n_unique()
    assert len(list((run.store / "embeddings").rglob("*.npy"))) == clips
    assert keys_of(study) == {name: run.done(name) for name in keys_of(study)}  # it stands
    model = AutoModelForVideoClassification.from_pretrained(folder / "weights" / "videomae")
    model.videomae.embeddings.patch_embeddings.projection.weight.data.mul_(-1)
    model.save_pretrained(folder / "weights" / "videomae")
    anew = {name for name, key in keys_of(study).items() if key != run.done(name)}
    assert {"check", "profile", "train", "evaluate"} <= anew
    assert not anew & {"index", "clips", "split", "features"}


def keys_of(study: Path) -> dict[str, str]:
    asked = read_study(study)
    return {stage.name: key for stage, key in stage_keys(asked, listing_of(asked))}


def test_a_damaged_checkpoint_is_told_before_anything_is_decoded(copy_of_set):
    folder: Path = copy_of_set("damaged")
    save_small("videomae", folder / "weights" / "videomae")
    (folder / "weights" / "videomae" / "model.safetensors").write_bytes(b"damaged")
    save_small("vit", folder / "weights" / "vit")
    study = folder / "study.yaml"
    study.write_text(study.read_text().partition("folds:")[0] + REST)
    done = reelfit("run", study)
    assert done.returncode != 0
    assert "weights/videomae cannot be read" in done.stderr
    assert "study.yaml:8: weights: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "runs" / "_store" / "clips").exists()

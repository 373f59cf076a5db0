"""Every kind of model in one study: on handcrafted features, on those of networks, on models."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from command_line import reelfit
from reelfit.data import tables
from reelfit.data.shards import ShardReader
from reelfit.features import FEATURE_NAMES, FIRST_NAMES, SECOND_NAMES
from reelfit.files import read_json_lines
from reelfit.models import make_model
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.fold import sides_of
from reelfit.study_yaml import read_study
from reelfit.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

ON_FEATURES = {
    "handcrafted_svm": "first",
    "handcrafted_gradient_boosting": "second",
    "handcrafted_xgboost": "both",
    "feature_mlp": "first",
}
ROWS = [f"  - {{name: {name}, features: {which}}}" for name, which in ON_FEATURES.items()]
MODELS = "\n".join(
    [
        "  - {name: naive_cnn, channels: [8, 16]}",
        *ROWS,
        "  - {logistic_on: naive_cnn}",
        "  - {name: xgboost_on, model: naive_cnn, trees: 5}",
        "  - {name: ensemble, how: weighted}",
        "  - {name: ensemble, id: two, how: stacked, of: [naive_cnn, handcrafted_svm]}",
    ]
)
ON_NETWORK = ["logistic_on_naive_cnn", "xgboost_on_naive_cnn"]
ENSEMBLES = ["ensemble", "two"]
IDS = ["naive_cnn", *ON_FEATURES, *ON_NETWORK, *ENSEMBLES]
MANY = f"""\
task: classify
name: small
videos: {{table: videos.csv, path: video_path, label: label, group: source_id}}
memory: {{host: 3GiB}}
clips: {{frames: 4, size: 32, copies: 1, augment: light}}
folds: {{count: 3}}
train: {{epochs: 2, effective_batch: 8, ema: 0.9}}
evaluate: {{bootstrap: 100, permutations: 2}}
evaluate_on: [{{name: itself, table: videos.csv, duplicates: keep}}]
models:
{MODELS}"""


@pytest.fixture(scope="module")
def many(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An undisturbed run of them all."""
    (small_set / "many.yaml").write_text(MANY)
    runs = tmp_path_factory.mktemp("many")
    done = reelfit("run", small_set / "many.yaml", "-q", "--set", f"runs={runs}")
    assert done.returncode == 0, done.stderr
    (folder,) = (runs / "small").iterdir()
    return Run(folder)


def test_each_model_predicts_each_video_once_and_stands_in_the_report(many: Run) -> None:
    predictions = tables.read_table(many.file("predictions.parquet"), tables.PREDICTIONS)
    counts = dict(predictions.group_by("model").len().rows())
    assert counts == dict.fromkeys(IDS, 12)
    summary = pl.read_parquet(many.file("summary.parquet"))
    assert summary["model"].unique(maintain_order=True).to_list() == IDS
    report = many.file("report.md").read_text()
    assert all(f"| {model} |" in report for model in IDS)
    assert "ensemble is a weighted mean of " in report
    assert "two is a logistic regression of naive_cnn, handcrafted_svm, learnt for each" in report


def test_a_model_sees_the_set_of_features_that_it_asks_for(many: Run) -> None:
    sets = {"first": FIRST_NAMES, "second": SECOND_NAMES, "both": FEATURE_NAMES}
    for name, which in ON_FEATURES.items():
        for fold in (1, 2, 3):
            path = many.fold(name, fold) / "checkpoints" / "latest.safetensors"
            assert load_checkpoint(path).facts["features"] == sets[which]


def test_a_model_on_a_network_learns_what_that_folds_network_gives_its_head(many: Run) -> None:
    study = read_study(many.study_file, environment={})
    with ShardReader(Clips().folder(many, study)) as reader:
        for fold in (1, 2):
            train, validation = sides_of(many, fold)
            train = train.filter(pl.col("copy") == 0)
            known, held = (before_head(many, reader, fold, rows) for rows in (train, validation))
            reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000))
            reference.fit(known, train["target"].to_numpy())
            table = pl.read_parquet(many.fold(ON_NETWORK[0], fold) / "predictions.parquet")
            assert table["video_id"].to_list() == validation["video_id"].to_list()
            found = np.array(table["probabilities"].to_list())
            np.testing.assert_allclose(found, reference.predict_proba(held), atol=1e-5)


def before_head(run: Run, reader: ShardReader, fold: int, rows: pl.DataFrame) -> np.ndarray:
    """By the network of that fold, with the averages that it predicts with, clip by clip."""
    path = run.fold("naive_cnn", fold) / "checkpoints" / "latest.safetensors"
    tensors = load_checkpoint(path).tensors
    network = make_model("naive_cnn", {"channels": [8, 16]}).build(num_outputs=2).eval()
    averages = {key[8:]: value for key, value in tensors.items() if key.startswith("average.")}
    assert averages.keys() == network.state_dict().keys()
    network.load_state_dict(averages)
    found = []
    network.head.register_forward_pre_hook(lambda _, given: found.append(given[0].detach()))
    for row in rows.iter_rows(named=True):
        clip = reader.read(row["shard"], offset=row["offset"], num_bytes=row["bytes"])
        network(torch.from_numpy(np.asarray(clip))[None].float() / 127.5 - 1)
    return torch.cat(found).double().numpy()


def test_asked_for_the_same_videos_as_another_set_each_fold_says_what_it_said(many: Run) -> None:
    said = tables.read_table(many.file("predictions.parquet"), tables.PREDICTIONS)
    again = pl.read_parquet(many.file("evaluate_on_predictions.parquet"))
    both = said.join(again, on=["model", "fold", "video_id"], suffix="_again")
    assert sorted(both["model"].unique()) == sorted(set(IDS) - set(ENSEMBLES))
    assert both.height == 12 * len(set(IDS) - set(ENSEMBLES))
    found, asked = (
        np.array(both[name].to_list()) for name in ("probabilities_again", "probabilities")
    )
    np.testing.assert_allclose(found, asked, atol=1e-6)


def test_a_run_that_was_killed_there_ends_with_the_same_bits(
    many: Run, small_set: Path, tmp_path: Path
) -> None:
    """Half of a stage undone, as a kill leaves it: what is whole is not done again."""
    place = tmp_path / "runs"
    shutil.copytree(many.folder.parents[1], place)
    run = Run(place / "small" / many.run_id)
    shutil.rmtree(run.fold(ON_NETWORK[1], 3))
    shutil.rmtree(run.fold("two", 1))
    for name in (f"{ON_NETWORK[0]}/fold_2/result.json", "deep.json", "ensemble.json"):
        (run.folder / name).unlink()
    for stage in ("deep", "ensemble", "evaluate"):
        (run.state / f"{stage}.json").unlink()
    (run.state / "finished.json").unlink()
    before = len(read_json_lines(run.file("events.jsonl")))
    done = reelfit("run", small_set / "many.yaml", "-q", "--set", f"runs={place}")
    assert done.returncode == 0, done.stderr
    for model in IDS:
        for fold in (1, 2, 3):
            name = "predictions.parquet"
            again = (run.fold(model, fold) / name).read_bytes()
            assert again == (many.fold(model, fold) / name).read_bytes()
    assert run.file("summary.parquet").read_bytes() == many.file("summary.parquet").read_bytes()
    units = {
        event["unit"]
        for event in read_json_lines(run.file("events.jsonl"))[before:]
        if event["event"] == "unit_ends" and event["stage"] in ("train", "deep", "ensemble")
    }
    assert units == {f"{ON_NETWORK[0]}/fold_2", f"{ON_NETWORK[1]}/fold_3", "two", "gather"}

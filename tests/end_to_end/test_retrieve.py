"""Videos and texts, whole: from a table to embeddings, captions, their metrics and a report."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from command_line import newest_run, reelfit
from reelfit import decode
from reelfit.data import retrieval_tables as schemas
from reelfit.data import tables
from reelfit.demo.shapes import make_shapes_set
from reelfit.files import file_digest, read_json, read_json_lines
from reelfit.metrics import RETRIEVAL
from reelfit.metrics.captions import CAPTION_METRICS, measure_captions
from reelfit.runs import Run
from reelfit.stages.evaluate_retrieval import TABLES
from reelfit.stages.learners.kept import Kept, read_kept
from reelfit.text_encoders import make_text_encoder
from reelfit.text_encoders.tokens import Tokenizer

SEPARATOR = "\N{GREEK SMALL LETTER ALPHA}"
TEXT = {"width": 16, "layers": 1, "heads": 2, "vocabulary": 300, "length": 40}
STUDY = f"""\
task: retrieve
name: small
videos: {{table: videos.csv, path: video_path, text: caption, item: case, group: combination,
         separator: {SEPARATOR}}}
folds: {{count: 2, near_duplicates: null}}
memory: {{host: 3GiB}}
clips: {{frames: 4, size: 32, copies: 1, store: originals, augment: {{noise: 4}}}}
models: [{{name: naive_cnn, channels: [8]}}]
retrieve:
  dimensions: 16
  width: 24
  segments: 2
  text: {json.dumps({"name": "text_transformer"} | TEXT)}
  caption: {{width: 16, layers: 1, heads: 2, weight: [1, 0.5]}}
  masked: {{grid: 4, steps: 2, hidden: 16}}
train: {{epochs: 2, effective_batch: 6, normalize: measured}}
evaluate: {{bootstrap: 100, top: 3}}
"""
LATER = ("evaluate_retrieval", "report")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten combinations of two clips: cases of one or two clips, with one or two texts.

    Two combinations have the text of others as well, and one clip is an array of frames.
    """
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes_set(folder, combinations=10, clips_each=2)
    table = pl.read_csv(folder / "videos.csv").to_dicts()
    names = sorted({row["combination"] for row in table})
    rows = []
    for place, row in enumerate(table):
        number = names.index(row["combination"])
        case = f"case {number}" if number % 2 else f"case {number} {place % 2}"
        path, words = row["video_path"], row["caption"]
        if place == 0:
            frames = decode(folder / path, at=range(16)).permute(0, 2, 3, 1).numpy()
            path = "videos/frames.npy"
            np.save(folder / path, frames)
        rows.append((path, words, case, row["combination"]))
        if number % 4 == 1:
            rows.append((path, f"look, {words}", case, row["combination"]))
    rows.insert(0, ("video_path", "caption", "case", "combination"))
    (folder / "videos.csv").write_text("".join(f"{SEPARATOR.join(row)}\n" for row in rows))
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="session")
def retrieved(shapes: Path) -> Run:
    """The undisturbed run."""
    done = reelfit("run", shapes / "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "video_to_text" in done.stdout
    return newest_run(shapes)


@pytest.fixture(scope="session")
def kept(retrieved: Run) -> dict[int, Kept]:
    return {fold: read_kept(retrieved.fold("naive_cnn", fold)) for fold in retrieved.folds()}


def table_of(run: Run, name: str) -> pl.DataFrame:
    return tables.read_table(run.file(f"{name}.parquet"), getattr(schemas, name.upper()))


def test_a_study_ends_with_every_table_of_its_run_under_its_schema(retrieved: Run) -> None:
    for name in TABLES:
        assert table_of(retrieved, name).height, name
    assert tables.read_table(retrieved.file("texts.parquet"), tables.TEXTS).height == 18
    for fold in (1, 2):
        for name in ("videos.npy", "texts.npy", "tokenizer.json", "generated.parquet"):
            assert (retrieved.fold("naive_cnn", fold) / name).stat().st_size


def test_every_item_is_judged_once_beside_none_of_its_group(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    folds = tables.read_table(retrieved.file("folds.parquet"), tables.FOLDS)
    assert folds.height == 20
    assert set(folds.group_by("group").agg(pl.col("fold").n_unique())["fold"]) == {1}
    judged = [item for each in kept.values() for item in each.items["item"]]
    assert sorted(judged) == sorted(folds["label"].unique())
    assert len(judged) == 15
    for fold, each in kept.items():
        assert set(each.items["item"]) == set(folds.filter(fold=fold)["label"])
        assert each.videos.shape == (each.items.height, 16)
        assert each.text_features.shape == (each.texts.height, 16)


def test_the_texts_of_an_item_are_all_right_for_it_and_each_stands_once(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    texts = tables.read_table(retrieved.file("texts.parquet"), tables.TEXTS)
    for each in kept.values():
        assert each.texts["text"].is_unique().all()
        for item, right in zip(each.items["item"], each.right_texts, strict=True):
            assert set(each.texts["text"].gather(right)) == set(texts.filter(item=item)["text"])
    assert {len(right) for each in kept.values() for right in each.right_texts} == {1, 2}


def test_words_are_learnt_from_the_texts_of_training_alone(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    texts = tables.read_table(retrieved.file("texts.parquet"), tables.TEXTS)
    encoder = make_text_encoder("text_transformer", TEXT)
    for fold, each in kept.items():
        unseen = texts.filter(~pl.col("item").is_in(each.items["item"].implode()))
        words = encoder.tokenizer(unseen["text"].unique().to_list())
        said = (retrieved.fold("naive_cnn", fold) / "tokenizer.json").read_text()
        assert words == Tokenizer.from_json(said)
        assert words != encoder.tokenizer(texts["text"].unique().to_list())


def ranks(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of each row the rank of its best right column, ties at the middle of their places."""
    found = []
    for row, own in zip(scores, right, strict=True):
        best = row[own].max()
        wrong = row[~own]
        found.append(1 + (wrong > best).sum() + (wrong == best).sum() / 2)
    return np.array(found)


def in_double(each: Kept) -> tuple[np.ndarray, np.ndarray]:
    """Cosines, and which of them are of right pairs."""
    videos, texts = (
        np.asarray(features, dtype=np.float64) for features in (each.videos, each.text_features)
    )
    videos /= np.linalg.norm(videos, axis=1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    right = np.zeros((len(videos), len(texts)), bool)
    for item, rows in enumerate(each.right_texts):
        right[item, rows] = True
    return videos @ texts.T, right


def test_values_are_those_of_the_whole_matrix_in_double_precision(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    by_fold, summary = (table_of(retrieved, f"retrieval_{name}") for name in ("folds", "summary"))
    queries = table_of(retrieved, "retrieval_queries")
    for direction in ("video_to_text", "text_to_video"):
        pooled = []
        for fold, each in kept.items():
            scores, right = in_double(each)
            found = ranks(*((scores, right) if direction[0] == "v" else (scores.T, right.T)))
            told = queries.filter(fold=fold, direction=direction)["rank"].to_numpy()
            np.testing.assert_allclose(told, found)
            values = by_fold.filter(fold=fold, direction=direction)
            assert values.filter(metric="recall@1")["value"].item() == np.mean(found <= 1)
            pooled.append(found)
        of_all = np.concatenate(pooled)
        values = dict(summary.filter(direction=direction).select("metric", "value").iter_rows())
        assert values["recall@5"] == pytest.approx(np.mean(of_all <= 5))
        assert values["median_rank"] == np.median(of_all)
        assert values["mrr"] == pytest.approx(np.mean(1 / of_all))


def test_the_highest_answers_are_those_of_the_highest_cosines(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    top = table_of(retrieved, "retrieval_top")
    for fold, each in kept.items():
        scores, right = in_double(each)
        for place, item in enumerate(each.items["item"]):
            found = top.filter(fold=fold, direction="video_to_text", query=item).sort("place")
            rows = [each.texts["text"].to_list().index(answer) for answer in found["answer"]]
            assert found["place"].to_list() == [1, 2, 3]
            np.testing.assert_allclose(found["score"], np.sort(scores[place])[::-1][:3], atol=1e-5)
            assert found["right"].to_list() == right[place][rows].tolist()


def test_the_last_epoch_measured_what_is_kept(retrieved: Run) -> None:
    """Of a run without early stopping, by the same weights."""
    by_fold = table_of(retrieved, "retrieval_folds")
    lines = read_json_lines(retrieved.file("metrics.jsonl"))
    told = {
        (line["fold"], line["metric"]): line["value"]
        for line in lines
        if line["phase"] == "validation" and line["epoch"] == 2
    }
    for fold in (1, 2):
        for name, (direction, metric) in RETRIEVAL.items():
            value = by_fold.filter(fold=fold, direction=direction, metric=metric)["value"].item()
            assert told[fold, name] == pytest.approx(value)
        assert told[fold, "loss"] > 0


def test_every_item_has_a_caption_and_values_are_those_of_its_texts(
    retrieved: Run, kept: dict[int, Kept]
) -> None:
    captions, summary = (table_of(retrieved, name) for name in ("captions", "caption_summary"))
    assert captions.height == 15
    scores = measure_captions(
        captions["generated"].to_list(),
        captions["references"].to_list(),
        groups=captions["group"].to_list(),
        seed=0,
        resamples=100,
    )
    for metric in CAPTION_METRICS:
        of_all = summary.filter(metric=metric).row(0, named=True)
        assert of_all["value"] == pytest.approx(scores.corpus[metric].value)
        assert of_all["low"] == pytest.approx(scores.corpus[metric].low)


def test_the_report_shows_both_directions_captions_and_chance(retrieved: Run) -> None:
    said = retrieved.file("report.md").read_text()
    for part in ("naive_cnn", "better than chance", "From text to video", "BLEU-4"):
        assert part in said, part
    page = retrieved.file("report.html").read_text()
    assert "case 1" in page
    assert "look, " in page


def test_a_finished_run_is_told_as_such_and_programs_are_told_in_json(retrieved: Run) -> None:
    study = retrieved.folder.parents[2] / "study.yaml"
    (end,) = map(json.loads, reelfit("run", study, "--json").stdout.splitlines())
    assert [row["direction"] for row in end["models"]] == ["video_to_text", "text_to_video"]
    for row in end["models"]:
        assert row["recall@1_low"] <= row["recall@1"] <= row["recall@1_high"]
    assert "finished" in reelfit("status", retrieved.folder.parent).stdout


def copied(shapes: Path, to: Path, *leaving_out: str) -> Path:
    return Path(shutil.copytree(shapes, to, ignore=shutil.ignore_patterns(*leaving_out)))


def test_how_a_run_is_judged_may_change_and_nothing_is_trained_again(
    retrieved: Run, shapes: Path, tmp_path: Path
) -> None:
    folder = copied(shapes, tmp_path / "judged anew")
    run = newest_run(folder)
    events = len(read_json_lines(run.file("events.jsonl")))
    asked = ("--set", "evaluate.bootstrap=300", "--set", "evaluate.top=2")
    done = reelfit("run", folder / "study.yaml", "-q", *asked)
    assert done.returncode == 0, done.stderr
    assert list((folder / "runs" / "small").glob("run_*")) == [run.folder]
    new = read_json_lines(run.file("events.jsonl"))[events:]
    assert {event["stage"] for event in new if event["event"] == "unit_ends"} == set(LATER)
    before, after = (table_of(each, "retrieval_summary") for each in (retrieved, run))
    assert after.drop("low", "high").equals(before.drop("low", "high"))
    assert not after.equals(before)
    assert table_of(run, "retrieval_top")["place"].max() == 2


def results(run: Run) -> dict[str, str]:
    """What a run leaves, by content."""
    folds = [run.fold("naive_cnn", fold) for fold in run.folds()]
    names = ("videos.npy", "texts.npy", "generated.parquet", "tokenizer.json", "channels.json")
    paths = [folder / name for folder in folds for name in names]
    paths += [run.file(f"{name}.parquet") for name in (*TABLES, "texts", "folds")]
    return {path.relative_to(run.folder).as_posix(): file_digest(path) for path in paths}


def killed_when(folder: Path, is_so: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Gives the command, and kills it as soon as the run's events are so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "-q"]
    )
    try:
        while True:
            assert process.poll() is None, "it ended before it could be killed"
            told = [
                event
                for path in (folder / "runs" / "small").glob("run_*/events.jsonl")
                for event in read_json_lines(path)
            ]
            if is_so(told):
                return
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(300)
def test_a_run_killed_in_training_and_in_judging_ends_with_the_same_bits(
    retrieved: Run, shapes: Path, tmp_path: Path
) -> None:
    folder = copied(shapes, tmp_path / "killed", "run_*")  # clips and profiles stand in the store
    models = folder / "runs" / "small"
    killed_when(folder, lambda _: bool(list(models.glob("run_*/*/fold_1/checkpoints/*"))))
    assert not list(models.glob("run_*/*/fold_2/result.json"))

    def judging(events: list[dict[str, Any]]) -> bool:
        return any(
            event["event"] == "stage_begins" and event["stage"] == LATER[0] for event in events
        )

    killed_when(folder, judging)
    run = newest_run(folder)
    assert read_json(run.fold("naive_cnn", 2) / "result.json")["epochs"] == 2
    assert not run.file("retrieval_summary.parquet").exists()
    last = reelfit("run", folder / "study.yaml", "-q")
    assert last.returncode == 0, last.stderr
    assert newest_run(folder) == run
    assert results(run) == results(retrieved)
    for fold in run.folds():
        one, other = (
            load_file(each.fold("naive_cnn", fold) / "checkpoints" / "latest.safetensors")
            for each in (run, retrieved)
        )
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)

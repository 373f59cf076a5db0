"""A search in whole runs: its outer folds stay unseen, a kill changes nothing, all is told."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import psutil
import pytest

from command_line import newest_run, reelfit
from reelfit.data import tables
from reelfit.files import read_json, read_json_lines
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run
from reelfit.stages.fold import sides_of
from reelfit.stages.networks import Job, rung_of
from reelfit.stages.profile import profile_of
from reelfit.stages.search import Search, folder_of
from reelfit.stages.stage import Context, Unit
from reelfit.stages.variants import read_variants
from reelfit.study import Study
from reelfit.study_yaml import read_study

SEARCH = """\
folds: {count: 2}
search:
  trials: 3
  holdout: 0.3
  space:
    train.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}
    naive_cnn.channels: [[8], [8, 16]]
    handcrafted_logistic.inverse_penalty: [0.001, 0.1, 10.0]
"""
TIGHT, AMPLE = 800 * 2**20, 8 * 2**30


@pytest.fixture(scope="module")
def searched(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The undisturbed run of the study with a search."""
    folder = tmp_path_factory.mktemp("searched") / "set"
    shutil.copytree(small_set, folder, ignore=shutil.ignore_patterns("runs"))
    add_search(folder)
    done = reelfit("run", folder / "study.yaml")
    assert done.returncode == 0, done.stderr
    return newest_run(folder)


def add_search(folder: Path) -> None:
    study = (folder / "study.yaml").read_text().replace("folds: {count: 3}\n", "")
    (folder / "study.yaml").write_text(study + SEARCH)


def trials(run: Run) -> pl.DataFrame:
    return tables.read_table(run.file("search.parquet"), tables.SEARCH)


@pytest.mark.slow
def test_each_model_on_each_fold_is_trained_with_what_its_own_search_chose(searched: Run) -> None:
    found = trials(searched)
    counted = found.group_by("model", "fold").len().sort("model", "fold").rows()
    assert counted == [
        ("handcrafted_logistic", 1, 3),
        ("handcrafted_logistic", 2, 3),
        ("naive_cnn", 1, 3),
        ("naive_cnn", 2, 3),
    ]
    assert found["chosen"].sum() == 4
    for row in found.filter(pl.col("chosen")).rows(named=True):
        beside = found.filter(model=row["model"], fold=row["fold"], pruned=False)
        assert row["value"] == beside["value"].max()
    networks = found.filter(model="naive_cnn", chosen=True)
    for row in networks.rows(named=True):
        values = json.loads(row["values"])
        checkpoints = searched.fold("naive_cnn", row["fold"]) / "checkpoints"
        shapes = shapes_of(checkpoints / "latest.safetensors")
        widths = {shape[0] for shape in shapes.values() if len(shape) == 4}
        assert max(widths) == max(values["naive_cnn.channels"])
    assert not list(searched.folder.glob("search/*/*/trial_*")), "checkpoints of trials are left"
    for report in ("report.html", "report.md"):
        text = searched.file(report).read_text()
        assert "learning_rate" in text
        assert "12 trials" in text


def shapes_of(checkpoint: Path) -> dict[str, list[int]]:
    with checkpoint.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: facts["shape"] for name, facts in header.items() if name != "__metadata__"}


@pytest.mark.slow
def test_a_search_killed_in_its_trials_ends_with_the_same_bits(
    searched: Run, copy_of_set: Callable[[str], Path]
) -> None:
    folder = copy_of_set("killed")
    add_search(folder)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "reelfit", "run", str(folder / "study.yaml"), "-q"],
            stdout=subprocess.DEVNULL,
        )
        lines = count_lines(folder)
        while count_lines(folder) <= lines and process.poll() is None:
            time.sleep(0.05)
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()
    done = reelfit("run", folder / "study.yaml", "--set", "launch.workers=1")
    assert done.returncode == 0, done.stderr
    run = newest_run(folder)
    assert trials(run).equals(trials(searched))
    for name in ("predictions.parquet", "summary.parquet"):
        assert run.file(name).read_bytes() == searched.file(name).read_bytes()


def count_lines(folder: Path) -> int:
    """Epochs of trials that are told, and trials that ended."""
    files = folder.glob("runs/small/run_*/search/*/*/**/*.jsonl")
    return sum(path.read_text().count("\n") for path in files if path.exists())


@pytest.mark.slow
def test_no_label_of_a_folds_own_videos_reaches_its_search(searched: Run, tmp_path: Path) -> None:
    run = copy_of(searched, tmp_path)
    study = read_study(run.study_file, environment={})
    assert study.search is not None
    by_loss = study.search.model_copy(update={"metric": "loss"})  # each label moves it
    study = study.model_copy(update={"search": by_loss})
    before = [search_again(run, study, fold) for fold in (1, 2)]
    folds = pl.read_parquet(run.file("folds.parquet"))
    turned = folds.filter(fold=1)["video_id"].gather_every(2).to_list()
    labels = pl.when(pl.col("video_id").is_in(turned)).then(1 - pl.col("target"))
    folds.with_columns(labels.otherwise("target").cast(pl.Int32).alias("target")).write_parquet(
        run.file("folds.parquet")
    )
    after = [search_again(run, study, fold) for fold in (1, 2)]
    assert after[0] == before[0]
    assert after[1] != before[1]  # it learns from the videos of fold 1


def copy_of(run: Run, place: Path) -> Run:
    return Run(Path(shutil.copytree(run.folder, place / "runs" / "small" / run.folder.name)))


def search_again(run: Run, study: Study, fold: int) -> list[object]:
    """The trials of the model on features, from the first."""
    place = folder_of(run, "handcrafted_logistic", fold)
    shutil.rmtree(place)
    facts = {"model": "handcrafted_logistic", "fold": fold, "variant": 0}
    unit = Unit("search", f"handcrafted_logistic/fold_{fold}", 3, facts)
    Search().work(run, study, unit, quiet_context(run))
    assert read_json(place / "result.json")["values"]
    return [read_json_lines(place / "trials.jsonl")]


@pytest.mark.slow
def test_the_cut_of_a_network_that_a_search_changed_stays_when_there_is_more_memory(
    searched: Run, tmp_path: Path
) -> None:
    run = copy_of(searched, tmp_path)
    study = read_study(run.study_file, environment={})
    many = study.train.model_copy(update={"effective_batch": 20_000})
    study = study.model_copy(update={"train": many})
    choice = next(choice for choice in study.models if choice.id == "naive_cnn")
    asked = read_variants(run)["naive_cnn"][0]
    changed = replace(asked, options=asked.options | {"dropout": 0.37})
    train, validation = sides_of(run, 1)
    found = {}
    for name, budgets in {"kept": (TIGHT, AMPLE), "new": (AMPLE,)}.items():
        folder = tmp_path / name
        folder.mkdir()
        job = Job(choice, changed, 1, folder, 0, train, validation)
        profile = profile_of(run, study, choice, changed, quiet_context(run))
        found[name] = [rung_of(run, study, job, profile, host_bytes=b) for b in budgets]
    assert found["kept"][0] == found["kept"][1]
    assert found["kept"][0].micro_batch < found["new"][0].micro_batch


def quiet_context(run: Run) -> Context:
    return Context(
        key="",
        threads=1,
        memory=MemoryLog(run.file("memory.jsonl"), {}),
        report_progress=lambda done, total: None,
        event=lambda *_, **__: None,
        should_stop=lambda: False,
    )


@pytest.mark.parametrize(
    ("place", "choices", "said"),
    [
        ("train.learning_rte", [0.1], "train.learning_rte"),
        ("naive_cnn.chanels", [[8]], "has no option chanels; did you mean channels"),
        ("naive_cnn.channels", [[7]], "multiple of 8"),
        ("unknown.width", [8], "unknown is not the id of a model here"),
        ("train.epochs", [0], "greater than or equal to 1"),
    ],
)
def test_a_space_that_the_study_cannot_have_is_told_in_seconds(
    small_set: Path, place: str, choices: list[object], said: str
) -> None:
    asked = json.dumps({"space": {place: choices}})
    done = reelfit("run", small_set / "study.yaml", "--set", f"search={asked}")
    assert done.returncode == 2
    assert said in done.stderr
    assert "search" in done.stderr

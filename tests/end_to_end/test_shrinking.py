"""A model shrinks where the study allows it and nothing else helps; the report says so first."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from command_line import newest_run, reelfit
from reelfit.files import read_json, read_json_lines, write_json
from reelfit.runs import Run

LARGE = (
    *("--set", "models=[{name: naive_cnn, channels: [256]}]"),
    *("--set", "clips.frames=16", "--set", "clips.size=256", "--set", "clips.copies=0"),
    *("--set", "folds.count=2", "--set", "train.epochs=1", "--set", "train.effective_batch=4"),
    *("--set", "launch.workers=1"),
)
TIGHT = ("--memory", "host=1GiB")
ALLOWED = ("--set", "allow=[fewer_frames]")


@pytest.fixture(scope="module")
def measured(small_set: Path) -> Path:
    """The set, with the profile of every variant in the store."""
    assert plan_of(small_set, *ALLOWED, "--memory", "host=3GiB")["given_up"] == []
    return small_set


def plan_of(folder: Path, *more: str) -> dict[str, object]:
    told = reelfit("plan", folder / "study.yaml", *LARGE, *more, "--json")
    assert told.returncode == 0, told.stderr
    lines = map(json.loads, told.stdout.splitlines())
    return next(line for line in lines if line["event"] == "plan")


@pytest.mark.slow
def test_the_first_variant_that_fits_is_planned_and_none_without_leave(
    measured: Path,
) -> None:
    assert plan_of(measured, *ALLOWED, *TIGHT)["given_up"] == ["8 of 16 frames"]
    told = reelfit("plan", measured / "study.yaml", *LARGE, *TIGHT)
    assert told.returncode == 1
    assert "naive_cnn: one sample needs about 1.4 GiB" in told.stderr


@pytest.mark.slow
def test_memory_that_runs_out_on_the_last_rung_of_a_run_shrinks_all_folds_of_the_model(
    copy_of_set: Callable[[str], Path], measured: Path
) -> None:
    folder = copy_of_set("shrinking")
    (folder / "runs").mkdir()
    (folder / "runs/_store").symlink_to(measured / "runs/_store")
    for place in (measured / "runs/_store/profiles").iterdir():
        values = read_json(place)
        if (values["frames"], values["size"], values["weights_bytes"] > 4 * 3000) == (
            16,
            [256, 256],
            True,
        ):
            write_json(
                place, values | {"base_bytes": 0, "libraries_bytes": 0, "techniques": few(values)}
            )
    table = pl.read_csv(folder / "videos.csv")
    table.filter(pl.col("video_path") != "videos/twin.mp4")[:6].write_csv(folder / "videos.csv")
    told = reelfit("run", folder / "study.yaml", *LARGE, *ALLOWED, *TIGHT)
    assert told.returncode == 0, told.stderr
    run = newest_run(folder)
    events = read_json_lines(run.file("events.jsonl"))
    ends = [
        event for event in events if event["event"] == "unit_ends" and event["stage"] == "train"
    ]
    thens = [event.get("then") for event in ends if event["unit"] == "naive_cnn/fold_1"]
    assert thens == ["smaller plan", "smaller model", None]
    (shrunk,) = [event for event in events if event["event"] == "shrunk"]
    assert shrunk["why"] == "memory ran out for a single sample"
    assert read_json(run.file("rungs.json"))["naive_cnn"]["variant"] == 1
    keys = {read_json(run.fold("naive_cnn", fold) / "result.json")["key"] for fold in (1, 2)}
    assert len(keys) == 1
    assert run.done("train") not in keys
    said_first(run, "8 of 16 frames")


def few(values: dict[str, list[dict[str, list[dict[str, int]]]]]) -> list[object]:
    """The techniques as a profile that is wrong by far would have them."""
    return [
        technique
        | {
            name: [
                one | {"peak_bytes": 2**20, "activations_bytes": 2**20}
                if name == "traced"
                else one | {"peak_bytes": 2**20}
                for one in technique[name]
            ]
            for name in ("traced", "probed")
        }
        for technique in values["techniques"]
    ]


def said_first(run: Run, what: str) -> None:
    text = run.file("report.md").read_text()
    note = text.index("**Note first:** naive_cnn is not the model that the study asks for")
    assert note < text.index("ROC AUC") < text.index("## Models")
    assert what in text[note : text.index("ROC AUC")]
    page = run.file("report.html").read_text()
    assert page.index("Note first:") < page.index('class="verdict"')

"""How models are judged may be asked otherwise: the run goes on, and nothing is trained again."""

import shutil
from pathlib import Path

import polars as pl

from command_line import newest_run, reelfit
from reelfit.files import read_json, read_json_lines
from reelfit.runs import Run


def test_other_resamples_are_drawn_in_the_same_run_without_training(
    finished: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(finished.folder.parents[2], folder)
    run = newest_run(folder)
    events = len(read_json_lines(run.file("events.jsonl")))
    before = pl.read_parquet(run.file("summary.parquet"))
    checkpoints = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.safetensors")}
    ask = ("run", folder / "study.yaml", "-q", "--set", "evaluate.bootstrap=300")
    done = reelfit(*ask)
    assert done.returncode == 0, done.stderr
    assert list((folder / "runs" / "small").glob("run_*")) == [run.folder]
    new = read_json_lines(run.file("events.jsonl"))[events:]
    assert {e["stage"] for e in new if e["event"] == "unit_ends"} == {"evaluate", "report"}
    assert checkpoints == {p: p.stat().st_mtime_ns for p in run.folder.rglob("*.safetensors")}
    after = pl.read_parquet(run.file("summary.parquet"))
    assert after.drop("low", "high").equals(before.drop("low", "high"))
    assert not after.equals(before)
    report = run.file("report.md").read_text()
    assert "after the first report: evaluate.bootstrap from 100 to 300. No model was" in report
    assert "bootstrap: 300" in run.study_file.read_text()
    assert run.finished
    ended = read_json(run.state / "finished.json")
    assert reelfit(*ask).returncode == 0
    assert read_json(run.state / "finished.json") == ended

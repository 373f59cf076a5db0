"""How a step was cut is found again, whatever became of the process that cut it."""

from pathlib import Path

from reelfit.files import read_json_lines
from reelfit.memory.rungs import Rung
from reelfit.training.journal import StepJournal


def written(path: Path, cuts: list[tuple[int, Rung]]) -> None:
    journal = StepJournal(path)
    for step, rung in cuts:
        journal.write(step, epoch=0, samples=8, rung=rung)


def test_a_step_done_before_is_cut_alike_and_a_new_one_is_free(tmp_path):
    path = tmp_path / "deep" / "steps.jsonl"
    written(path, [(0, Rung(8)), (1, Rung(4)), (2, Rung(1, "checkpointing"))])
    found = StepJournal(path)
    assert [found.rung_of(step) for step in range(4)] == [
        Rung(8),
        Rung(4),
        Rung(1, "checkpointing"),
        None,
    ]


def test_of_a_step_done_twice_the_last_cut_counts(tmp_path):
    path = tmp_path / "steps.jsonl"
    written(path, [(0, Rung(8)), (1, Rung(8))])
    written(path, [(1, Rung(2))])
    assert StepJournal(path).rung_of(1) == Rung(2)


def test_a_line_torn_by_a_kill_is_passed_over_and_closed(tmp_path):
    path = tmp_path / "steps.jsonl"
    written(path, [(0, Rung(8)), (1, Rung(4))])
    path.write_bytes(path.read_bytes()[:-20])
    assert StepJournal(path).rung_of(1) is None
    written(path, [(1, Rung(2))])
    assert StepJournal(path).rung_of(1) == Rung(2)
    assert [line["samples"] for line in read_json_lines(path)] == [8, 8]


def test_samples_given_up_are_told_and_given_up_again(tmp_path):
    path = tmp_path / "steps.jsonl"
    StepJournal(path).write(3, epoch=1, samples=0, rung=Rung(8), skipped=8)
    assert StepJournal(path).was_skipped(3)
    assert not StepJournal(path).was_skipped(2)

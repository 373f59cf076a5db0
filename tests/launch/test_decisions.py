"""Whether a death was one of memory, and which unit is started next."""

from dataclasses import replace

import pytest

from reelfit.launch.attempts import Attempt, Queue, Then, after_death
from reelfit.launch.death import Death, name_of_end, short_of_memory
from reelfit.pipeline import STAGES
from reelfit.stages.stage import Unit

BUDGET = 1000
KILLED = Death("SIGKILL", 100, BUDGET, hard_limit=False, kernel_kills=0, repeated=False)
CRASHED = replace(KILLED, ended_by="SIGSEGV")


@pytest.mark.parametrize(
    "death",
    [
        replace(KILLED, kernel_kills=1),
        replace(KILLED, kernel_kills=1, repeated=True),
        replace(KILLED, kernel_kills=None, held_bytes=850),
        replace(KILLED, held_bytes=850, repeated=True),
        replace(CRASHED, hard_limit=True),
        replace(CRASHED, ended_by="SIGBUS", hard_limit=True),
        replace(CRASHED, ended_by="SIGABRT", hard_limit=True),
        replace(CRASHED, held_bytes=850),
        replace(CRASHED, ended_by="exit status 1", held_bytes=990),
    ],
    ids=str,
)
def test_memory_was_short(death: Death):
    assert short_of_memory(death)


@pytest.mark.parametrize(
    "death",
    [
        KILLED,
        replace(KILLED, held_bytes=None),
        replace(KILLED, kernel_kills=None),
        replace(KILLED, held_bytes=990),  # a plan fills its budget, and someone's kill met it
        replace(KILLED, hard_limit=True),  # at the limit a process gets errors, and no SIGKILL
        replace(KILLED, repeated=True),
        CRASHED,
        replace(CRASHED, kernel_kills=1),  # the kernel's own killing is a SIGKILL: another's
        replace(CRASHED, ended_by="exit status 1", hard_limit=True),
    ],
    ids=str,
)
def test_memory_was_not_short(death: Death):
    assert not short_of_memory(death)


def test_an_end_has_the_name_of_its_signal():
    assert [name_of_end(status) for status in (-9, -11, 1)] == [
        "SIGKILL",
        "SIGSEGV",
        "exit status 1",
    ]


def after(last: Attempt, *, short: bool, shrinks: bool = True, done: int = 0):
    return after_death(last, done=done, short=short, shrinks=shrinks, retries=2)


def test_only_a_shortage_changes_the_next_attempt():
    first = Attempt(Unit("train", "a"))
    again, then = after(first, short=False)
    assert (again, then) == (replace(first, deaths=1), Then.SAME)
    again, then = after(again, short=True)
    assert (again, then) == (replace(first, deaths=2, shortages=1), Then.SMALLER)
    again, then = after(replace(first, shortages=3), short=True, shrinks=False)
    assert (again.shortages, again.alone, then) == (4, True, Then.ALONE)
    again, _ = after(again, short=False, shrinks=False, done=5)
    assert (again.alone, again.deaths, again.furthest) == (True, 1, 5)


def test_the_third_death_without_progress_is_the_last():
    attempt = Attempt(Unit("train", "a"))
    told = []
    for done in (4, 4, 2):
        attempt, then = after(attempt, short=False, done=done)
        told.append(then)
    assert told == [Then.SAME, Then.SAME, Then.GIVEN_UP]
    assert attempt.furthest == 4


def test_units_are_started_in_their_order_and_one_that_died_is_next():
    queue = Queue([Unit("s", name) for name in "abc"])
    first, second = queue.take([], most=2), queue.take([], most=2)
    assert first is not None
    assert second is not None
    assert queue.take([first, second], most=2) is None
    queue.put_back(first)
    assert queue.take([second], most=2) == first
    assert len(queue) == 1


def test_a_unit_that_must_be_alone_waits_for_the_others_and_is_left_alone():
    queue = Queue([Unit("s", name) for name in "ab"])
    first = queue.take([], most=2)
    assert first is not None
    queue.put_back(replace(first, alone=True))
    second = queue.take([], most=2)
    assert second is not None
    assert second.unit.name == "b"
    assert queue.take([second], most=2) is None
    alone = queue.take([], most=2)
    assert alone is not None
    assert alone.alone
    queue.put_back(second)
    assert queue.take([alone], most=2) is None
    assert queue.take([], most=2) == second


def test_networks_are_profiled_in_processes_like_those_that_train_them():
    """Another allocator or other threads, and the plan is of another process."""
    traits = {stage.name: (stage.computes, stage.all_threads) for stage in STAGES}
    assert traits["profile"] == traits["train"] == (True, True)

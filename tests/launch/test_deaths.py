"""Real children that die: what is told of it, and how they are started again."""

from collections.abc import Callable
from typing import Any

import pytest

from dying_child import Dying
from reelfit.errors import RunError
from reelfit.files import read_json_lines
from reelfit.launch.local import LocalLauncher
from reelfit.report.history import decisions
from reelfit.stages.stage import Unit


def events(launcher: LocalLauncher, name: str) -> list[dict[str, Any]]:
    lines = read_json_lines(launcher.run_folder.file("events.jsonl"))
    return [line for line in lines if line["event"] == name]


def unit(name: str, *ends: dict[str, Any], **facts: Any) -> Unit:
    return Unit("dying", name, 1, {"ends": list(ends), **facts})


@pytest.mark.parametrize("by", ["SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT"])
def test_a_death_by_any_signal_is_a_row_and_the_unit_goes_on_with_the_same_plan(
    launcher: Callable[..., LocalLauncher], by: str
):
    started = launcher()
    started.run([unit("a", {"by": by, "hold_share": 0.2})], key="k", stage=Dying())
    died, done = events(started, "unit_ends")
    assert (died["outcome"], died["ended_by"], died["then"]) == ("killed", by, "same plan")
    assert died["short_of_memory"] is False
    assert 0.2 * 512 < died["held_mb"] < 0.8 * 512
    assert died["host_peak_mb"] >= died["held_mb"]
    assert died["budget_mb"] == 512
    assert done["outcome"] == "done"
    assert [row["shortages"] for row in events(started, "attempt")] == [0, 0]
    (told,) = decisions(events(started, "unit_ends"))
    assert told.startswith(f"dying a was ended by {by} while it held ")
    assert told.endswith(
        " of its 512 MiB: memory was not short, and it went on with the same plan."
    )


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ({"by": "SIGSEGV", "limited": True}, "it broke at its limit of memory"),
        ({"by": "SIGABRT", "hold_share": 0.9}, "it held nearly all that it may"),
    ],
)
def test_a_unit_that_was_short_of_memory_is_given_a_smaller_plan(
    launcher: Callable[..., LocalLauncher], end: dict[str, Any], cause: str
):
    started = launcher()
    started.run([unit("a", end)], key="k", stage=Dying())
    assert events(started, "unit_ends")[0]["then"] == "smaller plan"
    assert [row["shortages"] for row in events(started, "attempt")] == [0, 1]
    (told,) = decisions(events(started, "unit_ends"))
    assert told.endswith(f"{cause}, and it was started again with a smaller plan.")


def test_a_full_unit_that_someone_killed_has_the_same_plan_until_it_happens_again(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher()
    full = {"by": "SIGKILL", "hold_share": 0.9}
    started.run([unit("a", full, full)], key="k", stage=Dying())
    assert [row["shortages"] for row in events(started, "attempt")] == [0, 0, 1]


def test_a_unit_that_asks_to_begin_again_is_begun_again_with_a_smaller_plan(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher()
    said = "half of the weights have changed"
    started.run([unit("a", {"restart": said})], key="k", stage=Dying())
    asked, _ = events(started, "unit_ends")
    assert (asked["outcome"], asked["exit_status"], asked["then"]) == (
        "restart",
        75,
        "smaller plan",
    )
    assert [row["shortages"] for row in events(started, "attempt")] == [0, 1]
    assert decisions([asked]) == [
        f"dying a ran out of memory ({said}), and it was started again with a smaller plan."
    ]


def test_what_cannot_shrink_is_started_again_alone_with_the_whole_budget(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher(workers=2)
    units = [
        unit("short", {"by": "SIGSEGV", "limited": True}),
        *(unit(f"other_{number}", seconds=0.5) for number in range(3)),
    ]
    started.run(units, key="k", stage=Dying(shrinks=False))
    assert [row["then"] for row in events(started, "unit_ends") if "then" in row] == ["alone"]
    first, again = (row for row in events(started, "attempt") if row["unit"] == "short")
    assert (first["budget_mb"], again["budget_mb"]) == (512, 1024)
    others = [row["at"] for row in events(started, "finished") if row["unit"] != "short"]
    assert len(others) == 3
    assert max(others) < again["began"]


def test_a_unit_that_gets_no_further_fails_with_all_that_is_known_and_the_others_go_on(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher(workers=2)
    stuck = unit("stuck", *[{"by": "SIGKILL", "done": 3}] * 3)
    with pytest.raises(RunError) as told:
        started.run([stuck, unit("other")], key="k", stage=Dying())
    ends = events(started, "unit_ends")
    assert [row["then"] for row in ends if "then" in row] == ["same plan", "same plan", "given up"]
    assert [row["outcome"] for row in ends if row["unit"] == "other"] == ["done"]
    for part in ("dying stuck ended 3 times", "3 of 10 done", "SIGKILL", "MiB of its", "kernel"):
        assert part in str(told.value)


def test_a_unit_that_gets_further_each_time_is_started_as_often_as_it_takes(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher(retries=1)
    ends = [{"by": "SIGKILL", "done": done} for done in range(1, 5)]
    started.run([unit("a", *ends)], key="k", stage=Dying())
    assert [row["outcome"] for row in events(started, "unit_ends")] == ["killed"] * 4 + ["done"]


def test_a_unit_for_which_the_last_rung_is_too_much_is_listed_again_where_its_stage_shrinks_it(
    launcher: Callable[..., LocalLauncher],
):
    """The folds of its model that wait are listed again as well, and others are not."""
    started = launcher(workers=1)
    last = {"restart": "one sample does not fit", "on_last_rung": True}
    unlucky = unit("a", {"restart": "not the last"}, last, smaller=True, model="one")
    waiting = [unit("b", model="one"), unit("c", model="another")]
    assert started.run([unlucky, *waiting], key="k", stage=Dying())
    ends = {(event["unit"], event.get("then")) for event in events(started, "unit_ends")}
    assert ends == {("a", "smaller plan"), ("a", "smaller model"), ("c", None)}
    assert not started.run([unit("b")], key="k", stage=Dying())


@pytest.mark.parametrize("end", [{"restart": "not the last"}, {"by": "SIGABRT"}])
def test_a_unit_that_was_not_on_the_last_rung_is_given_up_as_it_is(
    launcher: Callable[..., LocalLauncher], end: dict[str, Any]
):
    started = launcher()
    with pytest.raises(RunError, match="ended 3 times"):
        started.run([unit("a", *[end] * 3, smaller=True)], key="k", stage=Dying())
    assert events(started, "unit_ends")[-1]["then"] == "given up"


def test_what_breaks_native_code_twice_is_left_out_and_the_rest_is_done(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher()
    broken = {"by": "SIGSEGV", "item": "bad.mp4", "done": 2}
    started.run([unit("a", broken, broken)], key="k", stage=Dying())
    once, twice, done = events(started, "unit_ends")
    assert (once["then"], twice["then"], done["outcome"]) == ("same plan", "without it", "done")
    refused = [row["refused"] for row in events(started, "attempt")]
    why = "two processes were ended by SIGSEGV at it"
    assert refused == [{}, {}, {"bad.mp4": ["breaks the decoder", why]}]
    assert decisions([twice]) == [
        f"bad.mp4 ended the process that decoded it ({why}): it is left out."
    ]


def test_what_takes_longer_than_it_may_is_ended_and_left_out_at_once(
    launcher: Callable[..., LocalLauncher],
):
    started = launcher(retries=1)
    hangs = {"by": "nothing", "item": "long.mp4", "item_seconds": 0.3}
    also = {"by": "nothing", "item": "longer.mp4", "item_seconds": 0.2}
    started.run([unit("a", hangs, also)], key="k", stage=Dying())
    assert [row.get("item") for row in events(started, "unit_ends")] == [
        "long.mp4",
        "longer.mp4",
        None,
    ]
    (*_, last) = events(started, "attempt")
    assert last["refused"] == {
        "long.mp4": ["too slow", "it took more than the 0.3 s that it may"],
        "longer.mp4": ["too slow", "it took more than the 0.2 s that it may"],
    }


def test_a_kill_from_outside_blames_no_video(launcher: Callable[..., LocalLauncher]):
    started = launcher()
    killed = {"by": "SIGKILL", "item": "good.mp4"}
    started.run([unit("a", killed, killed)], key="k", stage=Dying())
    assert [row["refused"] for row in events(started, "attempt")] == [{}, {}, {}]

"""What is told of a run's memory agrees with what stands in its logs."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from reelfit.report.consumption import Peak, Prediction, consumption

BEGAN = 1_800_000_000.0


def line(second: float, *, pid: int = 1, unit: str = "a/fold_1", **more: Any) -> dict[str, Any]:
    """A line of memory.jsonl."""
    held_mb = more.pop("held_mb", 100.0)
    facts = {"stage": "train", "unit": unit, "pid": pid, "model": "a", "fold": 1}
    sizes = {"host_rss_mb": held_mb, "host_peak_mb": held_mb, "budget_mb": 1024.0}
    return {"timestamp": BEGAN + second, "phase": "running", **facts, **sizes, **more}


def event(second: float, name: str, *, unit: str = "a/fold_1", **more: Any) -> dict[str, Any]:
    """A line of events.jsonl."""
    time = datetime.fromtimestamp(BEGAN + second, UTC).isoformat(timespec="milliseconds")
    return {"timestamp": time, "event": name, "stage": "train", "unit": unit, **more}


def ends(second: float, outcome: str, seconds: float, peak_mb: float | None) -> dict[str, Any]:
    return event(second, "unit_ends", outcome=outcome, seconds=seconds, host_peak_mb=peak_mb)


def training(seconds: int, *, leak_mb: float = 0.0, pid: int = 1) -> list[dict[str, Any]]:
    """Two steps a second, twenty an epoch."""
    generator = np.random.default_rng(pid)
    return [
        line(
            second,
            pid=pid,
            epoch=second // 10,
            global_step=2 * second,
            held_mb=400 + generator.uniform(-20, 20) + 2 * leak_mb * second,
        )
        for second in range(seconds)
    ]


def test_peaks_are_the_highest_that_line_or_event_tell_and_a_dead_process_counts():
    lines = [
        line(0, model=None, fold=None, held_mb=80.0),
        line(1, held_mb=600.0),
        line(9, pid=2, held_mb=500.0, max_allocated_mb=220.0),
        line(2, unit="b/fold_2", model="b", fold=2, held_mb=90.0),
    ]
    events = [ends(8, "killed", 8.0, None), ends(12, "done", 3.0, 700.0)]
    assert consumption(lines, events).peaks == [
        Peak("train", "a", 1, 2, 700.0, 1024.0, 220.0),
        Peak("train", "b", 2, 1, 90.0, 1024.0, None),
    ]


def test_a_leak_is_told_per_step_and_per_epoch():
    found = consumption(training(120, leak_mb=1.0), [])
    (growth,) = found.growths
    assert growth.growth.verdict == "growing"
    assert growth.work == "step"
    assert growth.work_per_epoch == 20.0
    assert growth.growth.slope is not None
    assert growth.growth.slope.low <= 1.0 <= growth.growth.slope.high
    assert found.verdict.startswith("This leaks: train a/fold_1 gains ")
    assert "MiB per 100 steps" in found.verdict


def test_a_process_started_again_is_judged_by_itself():
    lines = training(60, pid=1) + [line(60 + n, pid=2, held_mb=900.0) for n in range(60)]
    found = consumption(lines, [])
    assert [each.growth.verdict for each in found.growths] == ["steady", "steady"]
    assert "Nothing is seen to leak in 2 processes" in found.verdict


def test_a_short_run_is_not_judged():
    assert "Nothing can be said of leaks" in consumption(training(5), []).verdict


def test_what_the_gpu_holds_is_judged_beside_the_host():
    lines = [each | {"allocated_mb": 50.0 + each["global_step"]} for each in training(120)]
    verdicts = {each.measure: each.growth.verdict for each in consumption(lines, []).growths}
    assert verdicts == {"host": "steady", "gpu": "growing"}


@pytest.mark.parametrize(
    ("resumed_step", "lost_seconds"), [(40, 60 - 21), (118, 60 - 60), (None, 60.0)]
)
def test_a_death_costs_what_stood_in_no_checkpoint(resumed_step: int | None, lost_seconds: float):
    events = [ends(60, "killed", 60.0, None)]
    if resumed_step is not None:
        events.append(event(65, "resumed", epoch=0, step=resumed_step))
    events.append(ends(99, "done", 30.0, 500.0))
    (recovery,) = consumption(training(60), events).recoveries
    assert recovery.what == "killed"
    assert recovery.seconds == pytest.approx(lost_seconds)


def test_every_shortage_is_told_with_its_seconds_where_they_are_known():
    events = [
        event(3, "out_of_memory", step=4, micro_batch=2, technique="checkpointing", seconds=1.5),
        event(4, "out_of_memory", step=5, micro_batch=1),
        event(5, "memory_nearly_full", step=6, micro_batch=1, technique="plain"),
        event(6, "samples_skipped", step=7, samples=8, clips=[1]),
        event(7, "out_of_memory_predicting", clips=4, message="no"),
        event(8, "resumed", epoch=0, step=3),
        event(9, "memory_warning", message="held 91% of its 100 MiB"),
    ]
    told = consumption(training(20), events).recoveries
    assert [each.seconds for each in told] == [1.5, None, None, None, None]
    assert "2 samples per pass, checkpointing" in told[0].told
    assert "1 sample per pass" in told[1].told


def test_plans_stand_beside_what_was_measured_and_unknown_ones_are_passed_over():
    events = [
        event(1, "plan", model="a", predicted_peak_bytes=2**30, predicted_resident_bytes=2**29),
        event(1, "plan", model="b", predicted_peak_bytes=2**30),
        event(1, "plan", said="something new"),
    ]
    assert consumption([line(0, held_mb=530.0)], events).predictions == [
        Prediction("a", 512.0, 530.0),
        Prediction("b", 1024.0, None),
    ]

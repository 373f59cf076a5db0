"""A planted leak is found, and what only looks like one is not cried over."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from own_process import printed_by
from reelfit.files import read_json_lines
from reelfit.memory.growth import Growth, judge_growth, theil_sen

SMALL = st.integers(-9, 9).map(float)


@given(st.lists(st.tuples(SMALL, SMALL), min_size=3, unique_by=lambda point: point[0]))
def test_slope_and_interval_are_those_of_scipy(points: list[tuple[float, float]]):
    x, y = np.array(points).T
    ours, reference = theil_sen(x, y), theilslopes(y, x, 0.95)
    assert ours.value == pytest.approx(reference.slope)
    assert (ours.low, ours.high) == pytest.approx((reference.low_slope, reference.high_slope))


def test_two_samples_at_one_place_say_no_slope():
    with pytest.raises(ValueError, match="differ"):
        theil_sen(np.ones(3), np.arange(3.0))


def swinging(seed: int, samples: int = 200) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """A process that loads its imports, then holds 490 to 680 MiB as the logs of the demo do."""
    generator = np.random.default_rng(seed)
    work = np.arange(samples, dtype=float)
    held_mb = 600 + generator.uniform(-110, 80, samples) - 400 * np.exp(-work / 8)
    return work, held_mb, generator


def test_a_ramp_and_swings_are_no_growth():
    verdicts = [judge_growth(*swinging(seed)[:2]).verdict for seed in range(100)]
    assert verdicts.count("growing") == 0
    assert verdicts.count("steady") >= 95


def test_one_step_up_is_no_growth():
    verdicts = []
    for seed in range(100):
        work, held_mb, generator = swinging(seed)
        held_mb += np.where(work > generator.uniform(60, 180), 100, 0)
        verdicts.append(judge_growth(work, held_mb).verdict)
    assert verdicts.count("growing") <= 3


def test_a_leak_twice_as_large_as_the_swings_is_found_every_time():
    for seed in range(100):
        work, held_mb, _ = swinging(seed)
        growth = judge_growth(work, held_mb + 2 * work)
        assert growth.verdict == "growing"
        assert growth.slope is not None
        assert growth.slope.low < 2.3
        assert growth.slope.high > 1.7


def test_nothing_is_said_of_a_few_samples():
    work, held_mb, _ = swinging(0, samples=14)
    assert judge_growth(work, held_mb) == Growth("too short", 10)
    empty = np.array([])
    assert judge_growth(empty, empty).verdict == "too short"
    assert judge_growth(np.zeros(50), np.ones(50)).verdict == "too short"


WORKING = """
import json, random, sys, time
from pathlib import Path
from reelfit.memory.record import MemoryLog

path, leaked_mb = Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(3)
kept = []

def hold(mebibytes):
    block = bytearray(mebibytes << 20)
    block[::4096] = b"x" * len(block[::4096])
    return block

with MemoryLog(path, {"stage": "train", "unit": "a/fold_1"}, interval_seconds=0.01) as memory:
    for step in range(100):
        memory.place.update(epoch=step // 30, global_step=step)
        activations = hold(draw.randrange(10, 30))
        time.sleep(0.01)
        del activations
        kept.append(hold(leaked_mb))
print(len(kept))
"""


@pytest.mark.parametrize(("leaked_mb", "verdict"), [(1, "growing"), (0, "steady")])
def test_a_real_process_that_keeps_a_mebibyte_a_step_is_told_from_one_that_does_not(
    tmp_path: Path, leaked_mb: int, verdict: str
):
    path = tmp_path / "memory.jsonl"
    assert printed_by(WORKING, path, leaked_mb) == 100
    lines = [line for line in read_json_lines(path) if line["global_step"] is not None]
    growth = judge_growth(
        np.array([line["global_step"] for line in lines], dtype=float),
        np.array([line["host_rss_mb"] for line in lines]),
    )
    assert growth.verdict == verdict
    assert growth.slope is not None
    assert growth.slope.low <= leaked_mb + 0.1
    assert growth.slope.high >= leaked_mb - 0.1

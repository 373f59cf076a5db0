"""The micro-batch that a first step begins with, by passes over a few of its samples."""

from collections.abc import Callable
from typing import Final

from reelfit.memory.meter import Meter
from reelfit.memory.plan import HEADROOM, samples_that_fit
from reelfit.memory.rungs import Rung

PROBED: Final = (2, 4)
"""Samples of the passes by which a first step is planned; more than one, for batch norm's sake."""


def first_rung(
    fits: Callable[[Rung], bool],
    forget: Callable[[], None],
    meter: Meter,
    *,
    effective_batch: int,
    technique: str,
    gradients_bytes: int,
    budget_bytes: int,
) -> Rung:
    """The micro-batch that fits by what a few samples need, before a large one is tried.

    ``fits`` does a pass over as many samples as a rung says; ``forget`` undoes it. Where memory is
    full to the brim, libraries below torch may crash instead of failing: oneDNN compiles code for
    each shape, and runs what it could not allocate.
    """
    most = effective_batch
    found: list[int] = []
    reserved, for_a_shape = meter.untouched_bytes(), 0
    for few in PROBED:
        before = meter.untouched_bytes()
        for _ in range(2):  # in the first pass of a shape, libraries take what they keep
            meter.restart_peak()
            held = meter.held_bytes()
            fitted = fits(Rung(few, technique))
            needed = meter.peak_bytes() - held
            forget()
            if not fitted:
                break
        if not fitted:
            most = max(few // 2, 1)
            break
        found.append(needed)
        for_a_shape = max(for_a_shape, meter.untouched_bytes() - before)
    if len(found) == len(PROBED):
        added = meter.untouched_bytes() - reserved + for_a_shape
        kept = meter.held_bytes() + gradients_bytes + added
        room = (budget_bytes - kept) * (1 - HEADROOM)
        most = samples_that_fit(dict(zip(PROBED, found, strict=True)), int(room))
    passes = -(-effective_batch // min(most, effective_batch))
    return Rung(-(-effective_batch // passes), technique)

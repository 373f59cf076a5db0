"""Which unit is started next, and how one that died is started again."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from reelfit.stages.stage import BREAKS, TOO_SLOW, Unit


class Then(StrEnum):
    """What became of a unit that died, as ``events.jsonl`` has it."""

    SAME = "same plan"
    SMALLER = "smaller plan"
    ALONE = "alone"
    SHRUNK = "smaller model"
    WITHOUT = "without it"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Attempt:
    """One start of a unit, and what its earlier starts came to.

    ``deaths`` are those since it last got further than ``furthest``, in items. ``faults`` names the
    items at which native code broke once, ``refused`` those that it is started again without, each
    with reason and detail.
    """

    unit: Unit
    deaths: int = 0
    furthest: int = 0
    shortages: int = 0
    alone: bool = False
    faults: frozenset[str] = frozenset()
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def after_death(
    last: Attempt, *, done: int, short: bool, shrinks: bool, retries: int
) -> tuple[Attempt, Then]:
    """The next attempt, and how it differs from the one that died at ``done`` items.

    Where memory was not short it is the same again, so that it ends with the same bits. Where it
    was, the unit does with less, or, if its stage cannot, has the whole budget to itself.
    """
    tried = replace(
        last,
        deaths=1 if done > last.furthest else last.deaths + 1,
        furthest=max(done, last.furthest),
        shortages=last.shortages + short,
        alone=last.alone or (short and not shrinks),
    )
    if tried.deaths > retries:
        return tried, Then.GIVEN_UP
    if not short:
        return tried, Then.SAME
    return tried, Then.SMALLER if shrinks else Then.ALONE


def blame(last: Attempt, item: str, *, hung: str = "", broke: str = "") -> Attempt:
    """``last`` with what its death says of the ``item`` it was at.

    One that took longer than it may is refused at once: its next start would take as long. Where
    native code ``broke``, it is once more given a chance: memory that was short does that, too.
    """
    if hung or item in last.faults:
        why = (TOO_SLOW, hung) if hung else (BREAKS, f"two processes were ended by {broke} at it")
        return replace(last, refused={**last.refused, item: why}, deaths=0)
    return replace(last, faults=last.faults | {item})


class Queue:
    """The units that wait; those that must be alone come last, so that none waits for them."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._waiting = deque(Attempt(unit) for unit in units)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, active: Collection[Attempt], *, most: int) -> Attempt | None:
        """The attempt to start now, ``most`` side by side; None while one must end first."""
        if not self._waiting or len(active) >= most:
            return None
        if active and (self._waiting[0].alone or any(attempt.alone for attempt in active)):
            return None
        return self._waiting.popleft()

    def drop(self, *, model: Any) -> None:
        """Takes out those of this model: they are listed again as what it has become."""
        kept = [one for one in self._waiting if one.unit.facts.get("model") != model]
        self._waiting = deque(kept)

    def put_back(self, attempt: Attempt) -> None:
        """Lets it be started again: next, or, where it must be alone, after the others."""
        if attempt.alone:
            self._waiting.append(attempt)
        else:
            self._waiting.appendleft(attempt)

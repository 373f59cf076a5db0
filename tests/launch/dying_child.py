"""A child as the launcher starts it, with one stage more: its units end as they are told to."""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, final

from reelfit.errors import Restart
from reelfit.launch import child
from reelfit.memory.limits import limit_host_memory
from reelfit.stages.stage import Context, Stage

MIB = 2**20
LOOKED_AT_SECONDS = 0.4
"""After this long the parent has looked at what the child holds."""


@final
class Dying(Stage):
    """``facts["ends"]`` says of each attempt how it ends; after the last one it is done."""

    name: ClassVar[str] = "dying"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, shrinks: bool = True) -> None:
        self.shrinks = shrinks  # type: ignore[misc]

    def settings(self, study: Any) -> Any:
        return None

    def units(self, run: Any, study: Any, listing: Any, *, key: str) -> Any:
        return []

    def work(self, run: Any, study: Any, unit: Any, context: Context) -> None:
        told = run.file(f"{unit.name}.attempts")
        attempt = len(told.read_text()) if told.exists() else 0
        told.write_text("x" * (attempt + 1))
        context.event(
            "attempt",
            began=time.monotonic(),
            shortages=context.shortages,
            refused=context.refused,
            budget_mb=(context.memory.budget_bytes or 0) / MIB,
        )
        ends = unit.facts.get("ends", [])
        if attempt < len(ends):
            _end(context, **ends[attempt])
        time.sleep(unit.facts.get("seconds", 0))
        context.event("finished", at=time.monotonic())

    def shrink(self, run: Any, study: Any, unit: Any, *, host_bytes: int) -> bool:
        return bool(unit.facts.get("smaller", False))

    def gather(self, run: Any, study: Any, listing: Any, context: Any) -> None:
        raise AssertionError


def _end(
    context: Context,
    *,
    by: str = "",
    hold_share: float = 0.0,
    limited: bool = False,
    done: int = 0,
    restart: str = "",
    on_last_rung: bool = False,
    item: str = "",
    item_seconds: float = 60.0,
) -> None:
    assert context.memory.budget_bytes is not None
    if limited:
        limit_host_memory(context.memory.budget_bytes)
    context.report_progress(done, 10)
    if item:
        context.begin_item(item, item_seconds)
    held = bytearray(int(hold_share * context.memory.budget_bytes))
    held[::4096] = b"x" * len(held[::4096])  # every page is touched, so that it is resident
    time.sleep(LOOKED_AT_SECONDS)
    if restart:
        raise Restart(restart, on_last_rung=on_last_rung)
    if by == "the kernel":
        grown = []
        while True:
            grown.append(b"x" * (8 * MIB))
            time.sleep(0.002)
    if by != "nothing":
        os.kill(os.getpid(), signal.Signals[by])
    time.sleep(60)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child.STAGES = (*child.STAGES, Dying())  # type: ignore[misc]
    assert Path(sys.argv[0]).name == "dying_child.py"
    sys.exit(child.main())

"""One unit in a process of its own: ``python -m reelfit.launch.child``, told what on its input.

It answers on its output, a JSON object a line: how far it is, and at last how it ended.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from reelfit.errors import Interrupted, ReelfitError, Restart, StudyError
from reelfit.memory.oom import is_out_of_memory
from reelfit.memory.record import MemoryLog, host_memory
from reelfit.pipeline import STAGES
from reelfit.runs import Run
from reelfit.stages.listed import listing_of
from reelfit.stages.stage import GATHER, Context, Unit
from reelfit.study import Study

FAILED, INTERRUPTED, RESTART = 1, 130, 75
"""Exit statuses; 75 is what sysexits.h calls a failure that trying again may mend."""
PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Order:
    """What a child is told: all of it JSON values."""

    run: str
    study: dict[str, Any]
    unit: dict[str, Any]
    key: str
    threads: int
    budget_bytes: int | None
    parent: int
    shortages: int = 0
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class _Answers:
    """Writes to the parent; progress at most ten times a second."""

    stream: TextIO
    stop: threading.Event
    last: float = field(default=0.0)

    def say(self, **line: Any) -> None:
        self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= PROGRESS_SECONDS or done >= total:
            self.last = now
            self.say(done=done, total=total)

    def progress_or_stop(self, done: int, total: int) -> None:
        """For units that have no checkpoint: they stop between two items, and begin again."""
        self.progress(done, total)
        if self.stop.is_set():
            raise Interrupted


def order_text(order: Order) -> str:
    """What the parent writes to the child's input."""
    return json.dumps(asdict(order))


def main() -> int:
    """Does one unit; the exit status says how it ended, the last line of output says more."""
    answers = _Answers(os.fdopen(os.dup(1), "w"), threading.Event())
    os.dup2(2, 1)  # what a library prints goes to the unit's log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes it on as SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: answers.stop.set())
    order = Order(**json.load(sys.stdin))
    _die_with_parent(order.parent)
    try:
        _work(order, answers)
    except Interrupted:
        answers.say(outcome="interrupted", peak_bytes=host_memory().peak_bytes)
        return INTERRUPTED
    except Restart as wanted:
        answers.say(
            outcome="restart", message=str(wanted), on_last_rung=wanted.on_last_rung,
            peak_bytes=host_memory().peak_bytes,
        )  # fmt: skip
        return RESTART
    except ReelfitError as error:
        place = list(error.place) if isinstance(error, StudyError) else []
        answers.say(
            outcome="failed", error=type(error).__name__, message=str(error), place=place,
            peak_bytes=host_memory().peak_bytes,
        )  # fmt: skip
        return FAILED
    except Exception as error:  # the boundary of the process: the parent is told, the log has all
        traceback.print_exc()
        if is_out_of_memory(error):  # where nothing could recover from it: a fresh process may
            answers.say(
                outcome="restart",
                message=f"memory ran out: {error}",
                peak_bytes=host_memory().peak_bytes,
            )
            return RESTART
        message = f"{type(error).__name__}: {error}"
        answers.say(outcome="crashed", message=message, peak_bytes=host_memory().peak_bytes)
        return FAILED
    answers.say(outcome="done", peak_bytes=host_memory().peak_bytes)
    return 0


def _work(order: Order, answers: _Answers) -> None:
    run, study = Run(Path(order.run)), Study.model_validate(order.study)
    unit = Unit(**order.unit)
    stage = next(stage for stage in STAGES if stage.name == unit.stage)
    facts = {"stage": unit.stage, "unit": unit.name, "pid": os.getpid()}

    def event(name: str, /, **more: Any) -> None:
        run.event(name, stage=unit.stage, unit=unit.name, **more)

    memory = MemoryLog(
        run.file("memory.jsonl"),
        facts,
        budget_bytes=order.budget_bytes,
        warn=lambda said: event("memory_warning", message=said),
    )
    with memory:
        context = Context(
            key=order.key,
            threads=order.threads,
            memory=memory,
            report_progress=answers.progress if stage.resumes else answers.progress_or_stop,
            event=event,
            should_stop=answers.stop.is_set,
            shortages=order.shortages,
            refused=order.refused,
            tell_item=lambda name, seconds: answers.say(item=name, seconds=seconds),
        )
        if unit.name == GATHER:
            stage.gather(run, study, listing_of(study), context)
        else:
            stage.work(run, study, unit, context)


def _die_with_parent(parent: int) -> None:
    """A child that outlived its parent would write beside the next one: the kernel ends it."""
    if sys.platform.startswith("linux"):
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())

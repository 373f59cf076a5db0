"""Units in child processes of this machine, started again when they are killed."""

import json
import os
import selectors
import signal
import subprocess  # nosec
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, final

from reelfit import errors
from reelfit.errors import OutOfMemoryError, ReelfitError, RunError, StudyError
from reelfit.launch.attempts import Attempt, Queue, Then, after_death, blame
from reelfit.launch.child import INTERRUPTED, Order, order_text
from reelfit.launch.death import CRASHES
from reelfit.launch.running import LOOKS, Running
from reelfit.memory.allocator import child_environment
from reelfit.memory.kernel import kernel_kills
from reelfit.memory.plan import Plan
from reelfit.memory.record import MIB
from reelfit.pipeline import Launcher
from reelfit.runs import Run
from reelfit.stages.plans import plans_of, settle_rungs
from reelfit.stages.stage import Stage, Unit
from reelfit.study import Study

GRACE_SECONDS = 30.0
"""How long an interrupted unit may take for its checkpoint."""
LOOK_SECONDS = 0.1
"""Between two looks at what the children hold."""


@final
@dataclass
class LocalLauncher(Launcher):
    """Runs units side by side, as many as processors and the host's budget allow.

    ``progress`` is told the units' work in items: done, total.
    """

    run_folder: Run
    study: Study
    workers: int
    threads: int
    host_bytes: int
    progress: Callable[[float, float], None] = lambda _done, _total: None
    on_unit_end: Callable[[dict[str, Any]], None] = lambda _facts: None
    interrupted: bool = False
    _looked: float = field(default=0.0, init=False)
    _shrunk: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._side_by_side = self.workers

    def prepare(self, stage: Stage) -> dict[str, Plan | OutOfMemoryError]:
        """Before training, as many side by side as leave each network enough; cuts are settled."""
        self._side_by_side = self.workers
        if not stage.shrinks or (stage.name == "search" and self.study.search is None):
            return {}
        planned = plans_of(
            self.run_folder, self.study, host_bytes=self.host_bytes, most_workers=self.workers
        )
        self._side_by_side = planned.workers
        settle_rungs(self.run_folder, self.study, planned)
        for model, plan in planned.plans.items():
            facts = {"error": str(plan)} if isinstance(plan, OutOfMemoryError) else asdict(plan)
            self.run_folder.event("plan", model=model, workers=planned.workers, **facts)
        return planned.plans

    def run(self, units: list[Unit], *, key: str, stage: Stage) -> bool:
        """Runs all units to their end.

        Raises:
            ReelfitError: a unit failed; the others are done all the same.
            KeyboardInterrupt: the user asked to stop; the units have saved what they had.
        """
        queue = Queue(units)
        self._shares = {unit.name: 0.0 for unit in units}
        self._weights = {unit.name: unit.items for unit in units}
        failures: list[ReelfitError] = []
        self._shrunk = False
        active: list[Running] = []
        with selectors.DefaultSelector() as selector:
            try:
                while queue or active:
                    while not self.interrupted:
                        attempt = queue.take([c.attempt for c in active], most=self._side_by_side)
                        if attempt is None:
                            break
                        active.append(self._start(attempt, key, stage, units, selector))
                    self._listen(selector)
                    self._look(active)
                    for child in [c for c in active if c.process.poll() is not None]:
                        active.remove(child)
                        self._listen_to_end(child, selector)
                        self._finish(child, stage, queue, failures)
                    if self.interrupted and not active:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                self._stop(active)
                raise
        if failures:
            raise failures[0]
        return self._shrunk

    def _start(
        self,
        attempt: Attempt,
        key: str,
        stage: Stage,
        units: list[Unit],
        selector: selectors.BaseSelector,
    ) -> Running:
        unit = attempt.unit
        threads = self.threads if stage.all_threads else 1
        side_by_side = 1 if attempt.alone else min(self._side_by_side, len(units))
        budget_bytes = self.host_bytes // side_by_side
        order = Order(
            run=str(self.run_folder.folder),
            study=self.study.model_dump(mode="json"),
            unit=asdict(unit),
            key=key,
            threads=threads,
            budget_bytes=budget_bytes,
            parent=os.getpid(),
            shortages=attempt.shortages,
            refused=dict(attempt.refused),
        )
        log = self.run_folder.file("logs") / f"{stage.name}_{unit.name.replace('/', '_')}.log"
        log.parent.mkdir(exist_ok=True)
        kills = kernel_kills()
        with log.open("ab") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "reelfit.launch.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                env=child_environment(os.environ, threads=threads, trains=stage.computes),
                start_new_session=True,  # the terminal's Ctrl-C reaches the parent alone
            )
        child = Running(
            attempt, process, budget_bytes, time.monotonic(), deque([kills], maxlen=LOOKS)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(order_text(order).encode())
            process.stdin.close()
        except BrokenPipeError:  # it died at once; its exit tells
            pass
        selector.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def _listen(self, selector: selectors.BaseSelector) -> None:
        if not selector.get_map():
            time.sleep(0.01)
        for key, _ in selector.select(timeout=0.1):
            if not self._read(key.data):
                selector.unregister(key.fileobj)

    def _look(self, active: list[Running]) -> None:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            for child in active:
                child.look()
                child.end_if_hung()

    def _listen_to_end(self, child: Running, selector: selectors.BaseSelector) -> None:
        while self._read(child):
            pass
        assert child.process.stdout is not None
        if child.process.stdout in selector.get_map():
            selector.unregister(child.process.stdout)
        child.process.stdout.close()

    def _read(self, child: Running) -> bool:
        """Takes what the child said since; False at the end of its output."""
        assert child.process.stdout is not None
        said = os.read(child.process.stdout.fileno(), 2**16)
        *lines, child.unfinished = (child.unfinished + said).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "outcome" in answer:
                child.answer = answer
            elif "item" in answer:
                child.begin(answer["item"], answer["seconds"])
            else:
                child.done, child.total = answer["done"], answer["total"]
                self._show(child.unit.name, child.done / max(child.total, 1))
        return bool(said)

    def _show(self, name: str, share: float) -> None:
        self._shares[name] = share
        done = sum(self._weights[name] * share for name, share in self._shares.items())
        self.progress(done, float(sum(self._weights.values())))

    def _finish(
        self, child: Running, stage: Stage, queue: Queue, failures: list[ReelfitError]
    ) -> None:
        unit, status = child.unit, child.process.returncode
        outcome = child.answer.get("outcome", "killed")
        peak_bytes = child.answer.get("peak_bytes", child.peak_bytes)
        facts = {
            "stage": unit.stage,
            "unit": unit.name,
            "outcome": outcome,
            "exit_status": status,
            "seconds": round(time.monotonic() - child.began, 3),
            "host_peak_mb": round(peak_bytes / MIB, 2) or None,
        }
        if outcome in ("killed", "restart"):
            facts |= self._again(child, stage, queue, failures)
        elif outcome == "done":
            self._show(unit.name, 1.0)
        elif status == INTERRUPTED:
            self.interrupted = True
        else:
            failures.append(self._failure(child))
        self.run_folder.event("unit_ends", **facts)
        self.on_unit_end(facts)

    def _again(
        self, child: Running, stage: Stage, queue: Queue, failures: list[ReelfitError]
    ) -> dict[str, Any]:
        """Starts a unit again, unless it died too often without getting further; says what of it.

        One that asked to begin again has run out of memory where only a fresh process helps.
        """
        death, asked = child.death(), child.answer.get("message")
        known: dict[str, Any] = death.facts() if asked is None else {"message": asked}
        broke = death.ended_by if asked is None and death.ended_by in CRASHES else ""
        if child.item is not None and (child.hung or (broke and not known["short_of_memory"])):
            blamed = blame(child.attempt, child.item, hung=child.hung, broke=broke)
            if child.item in blamed.refused:
                queue.put_back(blamed)
                why = {"item": child.item, "why": blamed.refused[child.item][1]}
                return {**known, "then": str(Then.WITHOUT), **why}
            child.attempt = blamed
        attempt, then = after_death(
            child.attempt,
            done=child.done,
            short=asked is not None or known["short_of_memory"],
            shrinks=stage.shrinks,
            retries=self.study.launch.retries,
        )
        if child.answer.get("on_last_rung") and self._shrink(stage, child.unit):
            then, self._shrunk = Then.SHRUNK, True
            queue.drop(model=child.unit.facts.get("model"))
        elif then is Then.GIVEN_UP:
            failures.append(self._too_often(child, attempt, asked or f"it was killed {death}"))
        else:
            queue.put_back(attempt)
        return {**known, "then": str(then)}

    def _shrink(self, stage: Stage, unit: Unit) -> bool:
        host_bytes = self.host_bytes // self._side_by_side
        return stage.shrink(self.run_folder, self.study, unit, host_bytes=host_bytes)

    def _too_often(self, child: Running, attempt: Attempt, last: str) -> RunError:
        unit = attempt.unit
        return RunError(
            f"{unit.stage} {unit.name} ended {attempt.deaths} times without getting further "
            f"({attempt.furthest} of {child.total} done); the last time {last}. What it said is in "
            f"{self.run_folder.file('logs')}, what it held in memory.jsonl. If memory was short, "
            "give less to other programs or change memory.host"
        )

    def _failure(self, child: Running) -> ReelfitError:
        message = child.answer.get("message", f"exit status {child.process.returncode}")
        kind = getattr(errors, child.answer.get("error", ""), None)
        if kind is StudyError:
            return StudyError(message, place=tuple(child.answer.get("place", ())))
        if isinstance(kind, type) and issubclass(kind, ReelfitError):
            return RunError(f"{child.unit.stage} {child.unit.name}: {message}")
        log = self.run_folder.file("logs")
        return RunError(
            f"{child.unit.stage} {child.unit.name} failed by a fault of Reelfit: {message}. "
            f"All that is known stands in {log}; the other units' work is kept"
        )

    def _stop(self, active: list[Running]) -> None:
        """Asks the units to save and end; ends those that do not. A second Ctrl-C ends all now."""
        try:
            for child in active:
                child.process.send_signal(signal.SIGTERM)
            limit = time.monotonic() + GRACE_SECONDS
            for child in active:
                child.process.wait(max(0.0, limit - time.monotonic()))
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            pass
        finally:
            for child in active:
                child.process.kill()
                child.process.wait()

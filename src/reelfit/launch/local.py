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
from reelfit.errors import ReelfitError, RunError, StudyError
from reelfit.launch.child import INTERRUPTED, Order, order_text
from reelfit.pipeline import Launcher
from reelfit.runs import Run
from reelfit.stages.stage import Stage, Unit
from reelfit.study import Study

GRACE_SECONDS = 30.0
"""How long an interrupted unit may take for its checkpoint."""


@dataclass
class _Child:
    unit: Unit
    process: "subprocess.Popen[bytes]"
    began: float
    unfinished: bytes = b""
    answer: dict[str, Any] = field(default_factory=dict)
    done: int = 0
    total: int = 0


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

    def run(self, units: list[Unit], *, key: str, stage: Stage) -> None:
        """Runs all units to their end.

        Raises:
            ReelfitError: a unit failed; the others are done all the same.
            KeyboardInterrupt: the user asked to stop; the units have saved what they had.
        """
        queue = deque(units)
        self._shares = {unit.name: 0.0 for unit in units}
        self._weights = {unit.name: unit.items for unit in units}
        deaths: dict[str, tuple[int, int]] = {}
        failures: list[ReelfitError] = []
        active: list[_Child] = []
        with selectors.DefaultSelector() as selector:
            try:
                while queue or active:
                    while queue and len(active) < self.workers and not self.interrupted:
                        active.append(self._start(queue.popleft(), key, stage, units, selector))
                    self._listen(selector)
                    for child in [c for c in active if c.process.poll() is not None]:
                        active.remove(child)
                        self._listen_to_end(child, selector)
                        self._finish(child, queue, deaths, failures)
                    if self.interrupted and not active:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                self._stop(active)
                raise
        if failures:
            raise failures[0]

    def _start(
        self,
        unit: Unit,
        key: str,
        stage: Stage,
        units: list[Unit],
        selector: selectors.BaseSelector,
    ) -> _Child:
        threads = self.threads if stage.all_threads else 1
        side_by_side = min(self.workers, len(units))
        order = Order(
            run=str(self.run_folder.folder),
            study=self.study.model_dump(mode="json"),
            unit=asdict(unit),
            key=key,
            threads=threads,
            budget_bytes=self.host_bytes // side_by_side,
            parent=os.getpid(),
        )
        log = self.run_folder.file("logs") / f"{stage.name}_{unit.name.replace('/', '_')}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "reelfit.launch.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                env=child_environment(os.environ, threads=threads),
                start_new_session=True,  # the terminal's Ctrl-C reaches the parent alone
            )
        child = _Child(unit, process, time.monotonic())
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

    def _listen_to_end(self, child: _Child, selector: selectors.BaseSelector) -> None:
        while self._read(child):
            pass
        assert child.process.stdout is not None
        if child.process.stdout in selector.get_map():
            selector.unregister(child.process.stdout)
        child.process.stdout.close()

    def _read(self, child: _Child) -> bool:
        """Takes what the child said since; False at the end of its output."""
        assert child.process.stdout is not None
        said = os.read(child.process.stdout.fileno(), 2**16)
        *lines, child.unfinished = (child.unfinished + said).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "outcome" in answer:
                child.answer = answer
            else:
                child.done, child.total = answer["done"], answer["total"]
                self._show(child.unit.name, child.done / max(child.total, 1))
        return bool(said)

    def _show(self, name: str, share: float) -> None:
        self._shares[name] = share
        done = sum(self._weights[name] * share for name, share in self._shares.items())
        self.progress(done, sum(self._weights.values()))

    def _finish(
        self,
        child: _Child,
        queue: deque[Unit],
        deaths: dict[str, tuple[int, int]],
        failures: list[ReelfitError],
    ) -> None:
        unit, status = child.unit, child.process.returncode
        outcome = child.answer.get("outcome", "killed")
        facts = {
            "stage": unit.stage,
            "unit": unit.name,
            "outcome": outcome,
            "exit_status": status,
            "seconds": round(time.monotonic() - child.began, 3),
            "host_peak_mb": round(child.answer.get("peak_bytes", 0) / 2**20, 2) or None,
        }
        self.run_folder.event("unit_ends", **facts)
        self.on_unit_end(facts)
        if outcome == "done":
            self._show(unit.name, 1.0)
        elif outcome == "killed":
            self._again(child, queue, deaths, failures)
        elif status == INTERRUPTED:
            self.interrupted = True
        else:
            failures.append(self._failure(child))

    def _again(
        self,
        child: _Child,
        queue: deque[Unit],
        deaths: dict[str, tuple[int, int]],
        failures: list[ReelfitError],
    ) -> None:
        """Starts a killed unit again, unless it was killed too often without getting further."""
        name = child.unit.name
        count, furthest = deaths.get(name, (0, 0))
        count = 1 if child.done > furthest else count + 1
        deaths[name] = (count, max(child.done, furthest))
        if count <= self.study.launch.retries:
            queue.appendleft(child.unit)
            return
        failures.append(
            RunError(
                f"{child.unit.stage} {name} was killed {count} times without getting further, at "
                f"last by {_signal_name(child.process.returncode)}; what it said is in "
                f"{self.run_folder.file('logs')}, what it held in memory.jsonl. If memory was "
                "short, give less to other programs or lower memory.host"
            )
        )

    def _failure(self, child: _Child) -> ReelfitError:
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

    def _stop(self, active: list[_Child]) -> None:
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


def child_environment(environment: "os._Environ[str]", *, threads: int) -> dict[str, str]:
    """The child's environment; what the user set stands.

    One allocator arena and thread counts that match the plan: memory follows live tensors.
    """
    ours = {
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "POLARS_MAX_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }
    return ours | dict(environment)


def _signal_name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"

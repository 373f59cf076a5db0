"""A study carried out by this process: its run is found or begun, held, and worked to its end."""

import os
import shutil
import signal
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from reelfit.data.listing import Listing
from reelfit.errors import OutOfMemoryError, RunError, StudyError
from reelfit.launch.local import LocalLauncher
from reelfit.memory.allocator import may_have_gpu
from reelfit.memory.budget import (
    UNIT_BYTES,
    affordable_workers,
    available_cores,
    format_size,
    gpu_budget,
    host_budget,
)
from reelfit.memory.devices import ask_devices
from reelfit.memory.plan import Plan
from reelfit.memory.profile import Profile
from reelfit.memory.record import MemoryLog, host_memory
from reelfit.pipeline import Display, all_stand, has_its_models, run_stages
from reelfit.runs import Run, ask_anew, find_run, held, start_run
from reelfit.stages.listed import listing_of
from reelfit.stages.plans import PROFILES, plans_of, read_profiles
from reelfit.study import Study

_PLANS = ".plan"
"""The folder of runs that are only planned; no study can have this name."""


@dataclass(frozen=True)
class Session:
    """What became of a study: its run, and whether there was anything to do."""

    run: Run
    begun: bool
    worked: bool


def carry_out(
    study: Study, *, fresh: bool, display: Display, on_run: Callable[[Run, bool], None]
) -> Session:
    """Runs the study, or goes on with its newest run; a finished run is left as it is.

    ``on_run`` is told the run and whether it was begun just now.

    Raises:
        StudyError: the study, its table or its videos do not fit together.
        RunError: another process holds the run; a unit failed; the disk is full.
        KeyboardInterrupt: the user asked to stop, and what was done is saved.
    """
    listing = listing_of(study)
    run = None if fresh else find_run(study, listing_digest=listing.digest)
    if run is not None and run.finished and all_stand(run, study, listing):
        return Session(run, begun=False, worked=False)
    if run is not None and run.reported and not has_its_models(run, study, listing):
        run = None  # a video was changed, or Reelfit was: that run's results stay as they are
    begun = run is None
    if run is None:
        run = start_run(study, listing_digest=listing.digest, facts=_settle(study, listing))
    try:
        with held(run):
            on_run(run, begun)
            ask_anew(run, study)
            _work(run, study, listing, display)
    except StudyError:
        if begun and run.done("check") is None:  # nothing was done that anyone could want
            shutil.rmtree(run.folder)
            with suppress(OSError):  # other runs stand beside it
                run.folder.parent.rmdir()
        raise
    return Session(run, begun=begun, worked=True)


def _settle(study: Study, listing: Listing) -> dict[str, Any]:
    """What stays as it is for the whole run: sums depend on the number of threads."""
    threads = max(1, available_cores() // _workers(study))
    folds = listing.judged_folds(study.folds.count)
    return {
        "classes": listing.classes,
        "folds": folds,
        "most_videos": listing.most_videos,
        "threads": threads,
    }


def _workers(study: Study) -> int:
    asked = study.launch.workers
    most = affordable_workers(host_budget(study.memory.host))
    return most if asked == "auto" else min(asked, most)


def _work(
    run: Run,
    study: Study,
    listing: Listing,
    display: Display,
    *,
    only: Container[str] | None = None,
) -> None:
    host_bytes = host_budget(study.memory.host)
    if host_bytes < UNIT_BYTES:
        raise RunError(
            f"memory.host: {format_size(host_bytes)} is too little: one process with torch needs "
            f"{format_size(UNIT_BYTES)}"
        )
    workers, threads = _workers(study), run.facts()["threads"]
    study = _with_gpu_budget(study, threads=threads)
    run.event("session_begins", pid=os.getpid(), workers=workers, threads=threads)
    launcher = LocalLauncher(
        run_folder=run,
        study=study,
        workers=workers,
        threads=threads,
        host_bytes=host_bytes,
        progress=display.advance,
        on_unit_end=display.unit_ends,
    )
    place = {"stage": "run", "unit": "parent", "pid": os.getpid()}
    memory = MemoryLog(run.file("memory.jsonl"), place, interval_seconds=5.0)
    outcome = "failed"
    try:
        with _ends_like_interrupt(), memory:
            run_stages(run, study, listing, launcher, display, only=only)
        outcome = "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        peak_mb = round(host_memory().peak_bytes / 2**20, 2)
        run.event("session_ends", outcome=outcome, host_peak_mb=peak_mb)


def _with_gpu_budget(study: Study, *, threads: int) -> Study:
    """The study with ``memory.gpu: auto`` in bytes: what other programs leave free now."""
    if study.memory.gpu != "auto" or not may_have_gpu():
        return study
    found = ask_devices(threads=threads).get("gpus", [])
    memory = study.memory.model_copy(update={"gpu": gpu_budget("auto", found)})
    return study.model_copy(update={"memory": memory})


def foresee(study: Study, *, display: Display) -> dict[str, Plan | OutOfMemoryError]:
    """The plan of each network, or why there is none, by check and profile alone.

    Nothing is trained and no run is left; what was measured stays in the store.

    Raises:
        ReelfitError: as ``carry_out``; also where one sample does not fit the whole budget.
    """
    study = _with_gpu_budget(study, threads=available_cores())
    with _passing_run(study) as (run, listing):
        _work(run, study, listing, display, only=("check", "profile"))
        host_bytes = host_budget(study.memory.host)
        return plans_of(run, study, host_bytes=host_bytes, most_workers=_workers(study)).plans


def measure(study: Study, *, display: Display) -> dict[str, Profile]:
    """What each network of the study holds as asked, measured as for a plan, by its id.

    Raises:
        ReelfitError: as ``carry_out``.
    """
    with _passing_run(study) as (run, listing):
        try:
            _work(run, study, listing, display, only=("check", "profile"))
        except RunError:
            if not run.file(PROFILES).exists():
                raise
        return {model: first for model, (first, *_) in read_profiles(run).items()}


@contextmanager
def _passing_run(study: Study) -> Iterator[tuple[Run, Listing]]:
    """A run that is held and worked on, and removed in the end."""
    listing = listing_of(study)
    run = start_run(
        study,
        listing_digest=listing.digest,
        facts=_settle(study, listing),
        experiment=_PLANS,
    )
    try:
        with held(run):
            yield run, listing
    finally:
        shutil.rmtree(run.folder)
        with suppress(OSError):  # another plan is being made
            run.folder.parent.rmdir()


@contextmanager
def _ends_like_interrupt() -> Iterator[None]:
    """A scheduler's SIGTERM is as good as Ctrl-C: the units save and end."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

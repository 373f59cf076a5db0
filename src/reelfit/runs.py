"""A run: one study executed, a folder that says all about it, held by one process at a time."""

import json
import os
import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reelfit import __version__
from reelfit.errors import RunError
from reelfit.files import append_json_line, read_json, write_json, write_text
from reelfit.study import Study, judging_settings, study_hash
from reelfit.study_yaml import read_study, study_text

STORE = "_store"
"""The folder, beside the runs, of what they share; no experiment's name begins like it."""


OTHERS = "evaluate_on"
"""The folder, in a run, of the sets that its models are judged on."""


@dataclass(frozen=True)
class Run:
    """The folder of one run, and the names of what stands in it."""

    folder: Path
    around: "Run | None" = None
    """The run whose store it shares, where it is the part of one that has another set of videos."""

    @property
    def run_id(self) -> str:
        """``run_YYYYMMDD_HHMMSS_<8 hex of the study's hash>``."""
        return self.folder.name

    @property
    def store(self) -> Path:
        """What all runs beside this one share: probes, clips, features."""
        return self.around.store if self.around else self.folder.parent.parent / STORE

    def on(self, other: str) -> "Run":
        """The part of this run that has the videos of another set, as a run of its own."""
        return Run(self.folder / OTHERS / other, around=self)

    @property
    def study_file(self) -> Path:
        """The study as it is run, every default spelled out."""
        return self.folder / "study.yaml"

    @property
    def state(self) -> Path:
        """Keys of the stages that are done."""
        return self.folder / "state"

    def file(self, name: str) -> Path:
        """The file ``name`` of this run."""
        return self.folder / name

    def fold(self, model: str, fold: int) -> Path:
        """The folder of one model on one fold."""
        return self.folder / model / f"fold_{fold}"

    def facts(self) -> dict[str, Any]:
        """What was settled when the run began, such as its threads and its list of classes."""
        facts: dict[str, Any] = read_json(self.file("run.json"))
        return facts

    def folds(self) -> list[int]:
        """The numbers of the folds whose videos are judged: 1 alone where one side is a test."""
        numbers: list[int] = self.facts()["folds"]
        return numbers

    def event(self, event: str, /, **facts: Any) -> None:
        """Adds a row to ``events.jsonl``."""
        line = {"timestamp": timestamp(), "event": event, **facts}
        append_json_line(self.file("events.jsonl"), line)

    def done(self, stage: str) -> str | None:
        """The key under which a stage was finished, if it was."""
        path = self.state / f"{stage}.json"
        return read_json(path)["key"] if path.exists() else None

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return (self.state / "finished.json").exists()

    @property
    def reported(self) -> bool:
        """Whether every stage was done once, though some may be at work again."""
        return self.done("report") is not None


def timestamp() -> str:
    """Now, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def find_run(study: Study, *, listing_digest: str) -> Run | None:
    """The newest run of this work: the same study over the same list of videos."""
    wanted = study_hash(study)
    for folder in sorted((study.runs / study.name).glob(f"run_*_{wanted[:8]}"), reverse=True):
        run = Run(folder)
        if not run.file("run.json").exists():
            continue
        facts = run.facts()
        if facts["study_hash"] == wanted and facts["listing_digest"] == listing_digest:
            return run
    return None


def start_run(
    study: Study, *, listing_digest: str, facts: dict[str, Any], experiment: str | None = None
) -> Run:
    """A new run folder with its study, its environment and what was settled at its start.

    It stands in the folder of ``experiment``, which is the study's name by default.
    """
    wanted = study_hash(study)
    run = Run(_new_folder(study.runs / (experiment or study.name), wanted[:8]))
    write_text(run.study_file, study_text(study))
    write_json(run.file("environment.json"), environment())
    settled = {"run_id": run.run_id, "study_hash": wanted, "listing_digest": listing_digest}
    write_json(run.file("run.json"), settled | facts)  # last: its presence makes the folder a run
    return run


def ask_anew(run: Run, study: Study) -> None:
    """Lays how the study judges its models now over the run's own study, and tells what changed."""
    before = read_study(run.study_file, environment={})
    now = {name: getattr(study, name) for name in judging_settings()}
    after = before.model_copy(update=now)
    if after == before:
        return
    changes = list(_changes(before.model_dump(mode="json"), after.model_dump(mode="json")))
    write_text(run.study_file, study_text(after))
    run.event("asked_anew", changes=changes, reported=run.reported)


def _changes(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each setting that differs: its name, and both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in after.items():
            yield from _changes(before.get(name), value, f"{place}.{name}" if place else name)
    elif before != after:
        yield place, before, after


def _new_folder(beside: Path, ending: str) -> Path:
    now = datetime.now(UTC)
    while True:
        folder = beside / f"run_{now:%Y%m%d_%H%M%S}_{ending}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # two runs begun in one second
            now += timedelta(seconds=1)
        else:
            return folder


def environment() -> dict[str, Any]:
    """Versions, hardware, git commit and exact packages, as far as they can be told."""
    named = [d for d in distributions() if d.metadata["Name"]]  # a torn install has no name
    packages = {d.metadata["Name"]: d.version for d in named}
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "reelfit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "memory_bytes": memory_bytes,
        "git_commit": _git_commit(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def _git_commit() -> str | None:
    """The commit checked out in the working folder, read from git's own files."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        head = folder / ".git" / "HEAD"
        if head.is_file():
            text = head.read_text().strip()
            if not text.startswith("ref: "):
                return text
            branch = folder / ".git" / text.removeprefix("ref: ")
            return branch.read_text().strip() if branch.is_file() else None
    return None


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Holds the run for this process; the system lets go of it whenever the process ends.

    Raises:
        RunError: another process holds it; says which.
    """
    holder = run.file(".holder.json")
    lock = FileLock(run.file(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{run.folder} is held by {_who(holder)}: wait for it or stop it") from None
    try:
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": timestamp()})
        yield
    finally:
        lock.release()


def holder_of(run: Run) -> str | None:
    """The process that holds the run now, in words; None where nobody does."""
    if not run.file(".lock").exists():
        return None
    lock = FileLock(run.file(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _who(run.file(".holder.json"))
    lock.release()
    return None


def _who(holder: Path) -> str:
    try:
        facts = read_json(holder)
    except (OSError, json.JSONDecodeError):
        return "another process"
    return f"process {facts['pid']} on {facts['host']} since {facts['since']}"

"""The stages in order; what stands under its key is not done again."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Final

from reelfit.data.listing import Listing
from reelfit.errors import OutOfMemoryError
from reelfit.files import digest, write_json
from reelfit.memory.plan import Plan
from reelfit.runs import Run, timestamp
from reelfit.stages.check import Check
from reelfit.stages.clips import Clips
from reelfit.stages.deep import Deep
from reelfit.stages.ensemble import Ensembles
from reelfit.stages.evaluate import Evaluate
from reelfit.stages.evaluate_retrieval import EvaluateRetrieval
from reelfit.stages.features import Features
from reelfit.stages.index import Index
from reelfit.stages.judge_others import JudgeOthers
from reelfit.stages.others import OtherClips, OtherFeatures, OtherIndex
from reelfit.stages.predict_others import PredictOthers
from reelfit.stages.profile import ProfileModels
from reelfit.stages.report import Report
from reelfit.stages.search import Search
from reelfit.stages.split import Split
from reelfit.stages.stage import GATHER, Stage, Unit
from reelfit.stages.train import Train
from reelfit.study import Study

STAGES: Final[tuple[Stage, ...]] = (
    Check(),
    ProfileModels(),
    Index(),
    Clips(),
    Split(),
    Features(),
    Search(),
    Train(),
    Deep(),
    Ensembles(),
    Evaluate(),
    EvaluateRetrieval(),
    OtherIndex(),
    OtherClips(),
    OtherFeatures(),
    PredictOthers(),
    JudgeOthers(),
    Report(),
)


class Launcher(ABC):
    """Where units run."""

    @abstractmethod
    def prepare(self, stage: Stage) -> dict[str, Plan | OutOfMemoryError]:
        """Makes ready for a stage: how many units side by side, and the plans of its networks."""

    @abstractmethod
    def run(self, units: list[Unit], *, key: str, stage: Stage) -> bool:
        """Runs all units to their end; True where some are to be listed again, being others now.

        Raises:
            ReelfitError: a unit failed; the others are done all the same.
        """


@dataclass(frozen=True)
class Display:
    """What the user is told of a stage's way."""

    begin: Callable[[Stage, int], None]
    """Takes the stage, and how many items it has to do."""
    advance: Callable[[float, float], None]
    """Takes how many items of the stage are done, of how many."""
    unit_ends: Callable[[dict[str, Any]], None]
    """Takes the facts that ``events.jsonl`` has of it."""
    end: Callable[[Stage], None]
    plans: Callable[[dict[str, Plan | OutOfMemoryError]], None]
    """Takes how each network's steps will be cut, or why one sample does not fit."""


def run_stages(
    run: Run,
    study: Study,
    listing: Listing,
    launcher: Launcher,
    display: Display,
    *,
    only: Container[str] | None = None,
) -> None:
    """Runs every stage that does not stand, from the first to the report, or some of them alone."""
    finished = run.state / "finished.json"
    if only is None:
        finished.unlink(missing_ok=True)
    for stage, key in stage_keys(study, listing):
        if only is not None and stage.name not in only:
            continue
        if stands(run, stage, key):
            continue
        plans = launcher.prepare(stage)
        units = stage.units(run, study, listing, key=key)
        if plans:
            display.plans(plans)
        display.begin(stage, sum(unit.items for unit in units))
        run.event("stage_begins", stage=stage.name, units=len(units))
        while units and launcher.run(units, key=key, stage=stage):
            units = stage.units(run, study, listing, key=key)
        launcher.run([Unit(stage.name, GATHER)], key=key, stage=stage)
        write_json(run.state / f"{stage.name}.json", {"key": key, "ended": timestamp()})
        run.event("stage_ends", stage=stage.name)
        display.end(stage)
    if only is None:
        write_json(finished, {"ended": timestamp()})


def stage_keys(study: Study, listing: Listing) -> list[tuple[Stage, str]]:
    """Every stage that is asked for, with 64 hex digits of all that its result depends on."""
    keys: dict[str, str] = {}
    for stage in STAGES:
        facts = [stage.name, stage.version, stage.settings(study), stage.inputs(listing)]
        keys[stage.name] = digest([*facts, [keys[name] for name in stage.reads]])
    return [(stage, keys[stage.name]) for stage in STAGES if stage.is_asked(study)]


def has_its_models(run: Run, study: Study, listing: Listing) -> bool:
    """Whether ``run`` has no other models than would be trained now; a key tells of all before.

    What comes after them is done anew in the same run where its settings change.
    """
    keys = {stage.name: key for stage, key in stage_keys(study, listing)}
    return run.done(Train.name) in (None, keys[Train.name])


def stands(run: Run, stage: Stage, key: str) -> bool:
    """Whether the stage was finished under this key and its files are there."""
    return run.done(stage.name) == key and all(run.file(name).exists() for name in stage.writes)


def all_stand(run: Run, study: Study, listing: Listing) -> bool:
    """Whether nothing is left to do for ``run``."""
    return all(stands(run, stage, key) for stage, key in stage_keys(study, listing))

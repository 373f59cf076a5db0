"""The plans of a run's networks, from their profiles and what each of its processes may hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reelfit.errors import OutOfMemoryError
from reelfit.files import read_json, write_json
from reelfit.memory.budget import FREE_SHARE, format_size
from reelfit.memory.plan import Plan, make_plan, side_by_side
from reelfit.memory.profile import Profile, read_profile
from reelfit.runs import Run
from reelfit.study import Study

PROFILES = "profiles.json"
RUNGS = "rungs.json"


def read_profiles(run: Run) -> dict[str, Profile]:
    """The profile of every network of the run, by the id of its model."""
    return {model: read_profile(values) for model, values in read_json(run.file(PROFILES)).items()}


def budget_of(profile: Profile, study: Study, *, host_bytes: int) -> int:
    """What one process may hold of the memory that its network computes in.

    ``host_bytes`` is its share of main memory; of a GPU without a budget, all but a margin.
    """
    if profile.device == "cpu":
        return host_bytes
    if isinstance(study.memory.gpu, int):
        return study.memory.gpu
    return int(profile.device_bytes * FREE_SHARE)


def plan_for(model: str, profile: Profile, study: Study, *, host_bytes: int, workers: int) -> Plan:
    """How this network's steps are cut in a process that may hold ``host_bytes``.

    Raises:
        OutOfMemoryError: one sample does not fit; names the model.
    """
    try:
        return make_plan(
            profile,
            budget_bytes=budget_of(profile, study, host_bytes=host_bytes),
            effective_batch=study.train.effective_batch,
            upper_micro_batch=study.train.micro_batch,
            workers=workers,
        )
    except OutOfMemoryError as error:
        raise OutOfMemoryError(f"{model}: {error}") from None


@dataclass(frozen=True)
class Planned:
    """How many processes train side by side, and how each network's steps are cut in them."""

    workers: int
    plans: dict[str, Plan | OutOfMemoryError]
    """By the id of the model; an error where one sample does not fit."""


def plans_of(run: Run, study: Study, *, host_bytes: int, most_workers: int) -> Planned:
    """The plan of every network, with fewer workers where one would not fit its share."""
    profiles = read_profiles(run)
    workers = side_by_side(
        list(profiles.values()),
        host_bytes=host_bytes,
        cores=most_workers,
        effective_batch=study.train.effective_batch,
    )
    found: dict[str, Plan | OutOfMemoryError] = {}
    for model, profile in profiles.items():
        try:
            found[model] = plan_for(
                model, profile, study, host_bytes=host_bytes // workers, workers=workers
            )
        except OutOfMemoryError as error:
            found[model] = error
    return Planned(workers, found)


def settle_rungs(run: Run, plans: Mapping[str, Plan | OutOfMemoryError]) -> None:
    """Keeps how each network's steps are cut for the whole run, from its first session on.

    Sums in other groups round otherwise: a run that was killed and goes on beside other programs,
    or with fewer workers, is to end with the same bits.
    """
    settled = settled_rungs(run)
    for model, plan in plans.items():
        if isinstance(plan, Plan) and model not in settled:
            settled[model] = {"micro_batch": plan.micro_batch, "technique": plan.technique}
    write_json(run.file(RUNGS), settled)


def settled_rungs(run: Run) -> dict[str, dict[str, Any]]:
    """Micro-batch and technique of each network, as the run's first session planned them."""
    path = run.file(RUNGS)
    return dict(read_json(path)) if path.exists() else {}


def plan_rows(plans: dict[str, Plan]) -> list[dict[str, Any]]:
    """The table of plans for people: a row per component and choice, a column per model."""
    columns = {model: _column(plan) for model, plan in plans.items()}
    names = next(iter(columns.values()))
    return [
        {"": name, **{model: column[name] for model, column in columns.items()}} for name in names
    ]


def _column(plan: Plan) -> dict[str, Any]:
    parts = plan.components
    before = {
        "weights": parts.weights,
        "gradients": parts.gradients,
        "optimizer state": parts.optimizer_state,
        "buffers": parts.buffers,
        "activations per sample": parts.activations / plan.micro_batch,
        "activations": parts.activations,
        "input batch": parts.input_batch,
        "workspace": parts.workspace,
        "libraries": parts.libraries,
        "process base": parts.process_base,
    }
    after = {
        "predicted peak": plan.predicted_peak_bytes,
        "budget": plan.budget_bytes,
        "headroom": plan.headroom_bytes,
    }
    return {
        **{name: format_size(size) for name, size in before.items()},
        "micro-batch": plan.micro_batch,
        "accumulation": plan.accumulation,
        "rung": plan.technique,
        **{name: format_size(size) for name, size in after.items()},
    }

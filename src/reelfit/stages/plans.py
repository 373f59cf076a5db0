"""The plans of a run's networks, from their profiles and what each of its processes may hold."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from reelfit.errors import OutOfMemoryError
from reelfit.files import read_json, write_json
from reelfit.memory.budget import FREE_SHARE, format_size
from reelfit.memory.plan import Plan, least_bytes, make_plan, peak_of, side_by_side
from reelfit.memory.profile import Profile, read_profile
from reelfit.runs import Run
from reelfit.stages.stage import Unit
from reelfit.stages.variants import read_variants
from reelfit.study import Study

PROFILES = "profiles.json"
CLIPS_TO_AUGMENT = 8
"""Times the bytes of a clip that its augmentation takes for a moment, see ``augment``."""
CLIPS_READ_AT_ONCE = 3
"""By the readers of ``data/batches.py`` and by the step that could not wait for them."""
PLANNED_SHARE = 0.85
"""Of the budget: above 90 %, steps would be cut finer for the sake of clips that can wait."""
RUNGS = "rungs.json"


def read_profiles(run: Run) -> dict[str, list[Profile]]:
    """The profiles of every network's variants, by the id of its model; the first is as asked."""
    return {
        model: list(map(read_profile, variants))
        for model, variants in read_json(run.file(PROFILES)).items()
    }


def first_that_fits(profiles: list[Profile], study: Study, *, host_bytes: int) -> int:
    """The number of the first variant of which one sample fits the whole budget; else the last."""
    for number, profile in enumerate(profiles):
        need_bytes = least_bytes(profile, effective_batch=study.train.effective_batch)
        if need_bytes <= budget_of(profile, study, host_bytes=host_bytes):
            return number
    return len(profiles) - 1


def budget_of(profile: Profile, study: Study, *, host_bytes: int) -> int:
    """What one process may hold of the memory that its network computes in.

    ``host_bytes`` is its share of main memory; of a GPU without a budget, all but a margin.
    """
    if profile.device == "cpu":
        return host_bytes - augmenting_bytes(profile, study)
    if isinstance(study.memory.gpu, int):
        return study.memory.gpu
    return int(profile.device_bytes * FREE_SHARE)


def augmenting_bytes(profile: Profile, study: Study) -> int:
    """What augmenting clips as they are read takes of main memory for a moment, in each reader."""
    if study.clips.store == "copies" or not study.clips.copies:
        return 0
    clip_bytes = 3 * profile.frames * math.prod(profile.size)
    return CLIPS_READ_AT_ONCE * CLIPS_TO_AUGMENT * clip_bytes


def ahead_bytes(
    profile: Profile, study: Study, *, micro_batch: int, technique: str, host_bytes: int
) -> int:
    """What clips read in advance may take: half of what the step leaves free, or two batches."""
    batch_bytes = study.train.effective_batch * profile.sample_bytes
    needed = profile.host_bytes + batch_bytes
    if profile.device == "cpu":
        peak_bytes = peak_of(
            profile,
            micro_batch=micro_batch,
            technique=technique,
            effective_batch=study.train.effective_batch,
        )
        needed = host_bytes if peak_bytes is None else peak_bytes
    spare = int(PLANNED_SHARE * host_bytes) - needed - augmenting_bytes(profile, study)
    return min(max(spare // 2, 0), 2 * batch_bytes)


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
    variants: dict[str, int]
    """By the id of the model: how far it shrinks, 0 where it is as the study asks."""


def plans_of(run: Run, study: Study, *, host_bytes: int, most_workers: int) -> Planned:
    """The plan of every network, with fewer workers where one would not fit its share.

    A network shrinks, where the study allows it, when the whole budget is too little for it.
    """
    settled, chosen, variants = settled_rungs(run), {}, {}
    for model, profiles in read_profiles(run).items():
        number = first_that_fits(profiles, study, host_bytes=host_bytes)
        # What was settled stays, or less memory on resuming would throw finished folds away.
        variants[model] = settled[model]["variant"] if model in settled else number
        chosen[model] = profiles[variants[model]]
    workers = side_by_side(
        list(chosen.values()),
        host_bytes=host_bytes,
        cores=most_workers,
        effective_batch=study.train.effective_batch,
        reserved_bytes=max((augmenting_bytes(p, study) for p in chosen.values()), default=0),
    )
    found: dict[str, Plan | OutOfMemoryError] = {}
    for model, profile in chosen.items():
        try:
            plan = plan_for(
                model, profile, study, host_bytes=host_bytes // workers, workers=workers
            )
        except OutOfMemoryError as error:
            found[model] = error
            continue
        given_up = read_variants(run)[model][variants[model]].given_up
        found[model] = replace(plan, given_up=given_up)
    return Planned(workers, found, variants)


def settle_rungs(run: Run, study: Study, planned: Planned) -> None:
    """Keeps how each network's steps are cut for the whole run, from its first session on.

    Sums in other groups round otherwise: a run that was killed and goes on beside other programs,
    or with fewer workers, is to end with the same bits.
    """
    settled = settled_rungs(run)
    for model, plan in planned.plans.items():
        if isinstance(plan, Plan) and model not in settled:
            number = planned.variants[model]
            settled[model] = _settled(plan, number)
            if number:
                profiles = read_profiles(run)[model]
                need = least_bytes(profiles[0], effective_batch=study.train.effective_batch)
                budget = format_size(plan.budget_bytes * planned.workers)
                why = f"one sample needs about {format_size(need)} of a budget of {budget}"
                _tell_shrunk(run, model, number, why)
    write_json(run.file(RUNGS), settled)


def settled_rungs(run: Run) -> dict[str, dict[str, Any]]:
    """Variant, micro-batch and technique of each network, as the run's first session planned."""
    path = run.file(RUNGS)
    return dict(read_json(path)) if path.exists() else {}


def shrink(run: Run, study: Study, unit: Unit, *, host_bytes: int) -> bool:
    """Settles the next variant of a unit's network that ran out of memory on its last rung.

    False where it is no network, or the study allows none that fits. All its folds begin again with
    it, since folds of different models say nothing of either.
    """
    model, variant = unit.facts.get("model", ""), unit.facts.get("variant", 0)
    settled = settled_rungs(run)
    if model not in settled:
        return False
    profiles = read_profiles(run)[model]
    if settled[model]["variant"] > variant:  # another of its folds was first
        return True
    for number in range(variant + 1, len(profiles)):
        try:
            plan = plan_for(model, profiles[number], study, host_bytes=host_bytes, workers=1)
        except OutOfMemoryError:
            continue
        settled[model] = _settled(plan, number)
        write_json(run.file(RUNGS), settled)
        _tell_shrunk(run, model, number, "memory ran out for a single sample")
        run.event("plan", model=model, **asdict(plan))
        return True
    return False


def _settled(plan: Plan, variant: int) -> dict[str, Any]:
    return {
        "variant": variant,
        "micro_batch": plan.micro_batch,
        "technique": plan.technique,
    }


def _tell_shrunk(run: Run, model: str, variant: int, why: str) -> None:
    given_up = read_variants(run)[model][variant].given_up
    run.event("shrunk", model=model, given_up=list(given_up), why=why)


def given_up_by(run: Run) -> dict[str, tuple[str, ...]]:
    """By the id of each model that shrank: what it gave up, as it stands in the end."""
    variants = read_variants(run)
    return {
        model: variants[model][cut["variant"]].given_up
        for model, cut in settled_rungs(run).items()
        if cut["variant"]
    }


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
        "averages": parts.averages,
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

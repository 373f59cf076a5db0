"""One network trained on one fold, within what its process may hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.errors import OutOfMemoryError, Restart, UpdateError
from reelfit.files import read_json, require_room, write_json
from reelfit.memory.plan import peak_of
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.device import device_within_limits
from reelfit.stages.embeddings import keep_embeddings
from reelfit.stages.fold import hold_out, metric_teller, sides_of
from reelfit.stages.normalising import normalise, settle_normalisation
from reelfit.stages.online import are_made_when_read
from reelfit.stages.plans import ahead_bytes, budget_of, plan_for, settled_rungs
from reelfit.stages.profile import profile_of
from reelfit.stages.stage import Context
from reelfit.stages.variants import Variant, read_variants
from reelfit.study import ModelChoice, Study

if TYPE_CHECKING:
    from torch import nn

    from reelfit.memory.profile import Profile
    from reelfit.memory.rungs import Rung
    from reelfit.training.fit import Fit
    from reelfit.training.state import Progress
    from reelfit.training.step import Shortage


@dataclass(frozen=True)
class Job:
    """One network to be trained on some clips and judged by others."""

    choice: ModelChoice
    variant: Variant
    fold: int
    folder: Path
    """Where checkpoints, metrics and shortages go."""
    seed: int
    train: pl.DataFrame
    validation: pl.DataFrame
    keeps: bool = False
    """Whether what it predicts of these in the end is kept."""
    is_hopeless: Callable[[dict[str, float | None], int], bool] = lambda _measured, _epoch: False
    """Takes what an epoch gave on ``validation``, and its number: whether to end with it."""


def train_network(
    run: Run, study: Study, choice: ModelChoice, variant: Variant, fold: int, context: Context
) -> dict[str, Any]:
    """Trains it to its end, from its newest checkpoint, and predicts the videos it never saw.

    Raises:
        Restart: memory ran out, though the plan fits; the last checkpoint is whole.
        OutOfMemoryError: one sample does not fit by the plan.
    """
    from reelfit.data.seeds import seed_for

    folder = run.fold(choice.id, fold)
    train, validation = sides_of(run, fold)
    seed = seed_for(study.seed, "train", choice.id, fold)
    job = Job(choice, variant, fold, folder, seed, train, validation, keeps=True)
    progress = train_job(run, study, job, context)
    return {
        "num_train": train["video_id"].n_unique(),
        "num_validation": validation.height,
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "micro_batch": progress.micro_batch,
    }


def train_job(run: Run, study: Study, job: Job, context: Context) -> "Progress":
    """Trains to the end, or until it is hopeless, from the newest checkpoint in the job's folder.

    Raises:
        Restart: memory ran out, though the plan fits; the last checkpoint is whole.
        OutOfMemoryError: one sample does not fit by the plan.
    """
    import torch

    from reelfit.data.seeds import seed_for
    from reelfit.data.shards import ShardReader
    from reelfit.models import make_model
    from reelfit.models.model import Network
    from reelfit.stages.learners import LEARNERS
    from reelfit.training.fit import Fit
    from reelfit.training.journal import StepJournal
    from reelfit.training.optimizer import Descent
    from reelfit.training.state import state_bytes

    torch.set_num_threads(context.threads)
    folder, train, watched = job.folder, job.train, None
    kind = LEARNERS[study.task]
    if study.train.early_stopping is not None:
        share = study.train.early_stopping.holdout
        train, watched = hold_out(train, share=share, seed=job.seed, stratified=kind.stratified)
    learner = kind(run, study, train)
    torch.manual_seed(seed_for(job.seed, "weights"))
    model = make_model(job.choice.name, job.variant.options)
    assert isinstance(model, Network)
    network = learner.build(model)
    files = 4 + study.train.keep_epochs  # latest, best, an epoch more, and one being written
    copies = Descent.asked_by(study.train).copies + (study.train.ema is not None)
    file_bytes = state_bytes(network, copies=copies)
    require_room(folder, files * file_bytes, what="the checkpoints of this fold")
    metrics_file = folder / "metrics.jsonl"
    profile = profile_of(run, study, job.choice, job.variant, context)
    rung = rung_of(run, study, job, profile, host_bytes=_host_bytes(context))
    device = device_within_limits(study, context)
    context.event("epoch", fold=job.fold, model=job.choice.id, **_epoch_facts(train, study))
    seeing = learner.seeing(network.to(device))
    keep_embeddings(run, study, model, seeing, frames=job.variant.frames)
    frames = job.variant.frames if job.variant.frames < study.clips.frames else None
    with ShardReader(Clips().folder(run, study)) as reader:
        normalisation = settle_normalisation(study, model, train, folder, reader)
        normalise(seeing, normalisation)
        fit = Fit(
            network=network,
            objective=learner.objective(seed=job.seed),
            settings=study.train,
            reader=reader,
            train=learner.training_set(train, frames),
            validation=learner.judged_set(job.validation, frames),
            watched=None if watched is None else learner.judged_set(watched, frames),
            checkpoints=folder / "checkpoints",
            seed=job.seed,
            device=device,
            report=metric_teller(run, metrics_file, job.choice.id, job.fold, context),
            metrics_file=metrics_file,
            journal=StepJournal(folder / "steps.jsonl"),
            rung=rung,
            rate_factors=learner.rate_factors(model, network),
            ahead_bytes=ahead_bytes(profile, study, host_bytes=_host_bytes(context), **vars(rung)),
            shortages=context.shortages,
            on_shortage=_shortage_writer(folder, network, context),
            # On a GPU, fewer samples at once would need no less of the host's memory.
            nearly_full=context.memory.pressed if device.type == "cpu" else lambda: False,
            on_event=context.event,
            should_stop=context.should_stop,
            is_hopeless=job.is_hopeless,
        )
        context.memory.find_largest = fit.largest
        fit.on_progress = _progress_teller(fit, context)
        try:
            progress = fit.run()
            fit.use_best()
            if job.keeps:
                predicted = fit.predict(fit.validation)
                learner.keep(folder, job.validation, job.choice.id, job.fold, fit, predicted)
        except (UpdateError, OutOfMemoryError) as error:  # memory in pieces is whole in a fresh one
            last = isinstance(error, OutOfMemoryError) and fit.began_on_last_rung()
            raise Restart(str(error), on_last_rung=last) from None
    return progress


def rung_of(run: Run, study: Study, job: Job, profile: "Profile", *, host_bytes: int) -> "Rung":
    """How steps are cut: as settled, while that fits into what there is now.

    What a search changed was not settled for the whole run: its cut is kept in the job's folder.
    """
    from reelfit.memory.rungs import Rung

    variants, settled = read_variants(run)[job.choice.id], settled_rungs(run).get(job.choice.id, {})
    known, kept = None, job.folder / "rung.json"
    if job.variant in variants:
        if settled.get("variant") == variants.index(job.variant):
            known = {name: settled[name] for name in ("micro_batch", "technique")}
    elif kept.exists():
        known = read_json(kept)
    if known is not None:
        needed = peak_of(profile, effective_batch=study.train.effective_batch, **known)
        if needed is not None and needed <= budget_of(profile, study, host_bytes=host_bytes):
            return Rung(**known)
    plan = plan_for(job.choice.id, profile, study, host_bytes=host_bytes, workers=1)
    rung = Rung(plan.micro_batch, plan.technique)
    if job.variant not in variants:
        write_json(kept, vars(rung))
    return rung


def _host_bytes(context: Context) -> int:
    host_bytes = context.memory.budget_bytes
    assert host_bytes is not None  # the launcher gives every unit its share
    return host_bytes


def _progress_teller(fit: "Fit", context: Context) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        batch_idx = fit.progress.position // fit.settings.effective_batch
        context.memory.place.update(epoch=fit.progress.epoch, batch_idx=batch_idx, global_step=done)
        context.report_progress(done, total)

    return tell


def _shortage_writer(
    folder: Path, network: "nn.Module", context: Context
) -> Callable[["Shortage", Any], None]:
    """Writes ``shortage_<step>.json`` with all that was known when memory ran out."""
    from reelfit.memory.shortage import describe_shortage, write_shortage

    def write(shortage: "Shortage", batch: Any) -> None:
        rung = {"samples": shortage.samples, **vars(shortage.rung), "phase": shortage.phase}
        facts = describe_shortage(
            shortage.message,
            model=network,
            batch=batch,
            place=context.memory.place | rung,
            budget_bytes=context.memory.budget_bytes,
            largest=shortage.largest,
        )
        step = context.memory.place.get("global_step") or 0
        write_shortage(folder / f"shortage_{step:06d}_{rung['micro_batch']}.json", facts)

    return write


def _epoch_facts(train: pl.DataFrame, study: Study) -> dict[str, Any]:
    """What one epoch is: how many clips there are and how they are drawn."""
    made = are_made_when_read(study)
    clips = train.height * (1 + study.clips.copies) if made else train.height
    classes = []
    if study.task == "classify":
        classes = train["target"].value_counts(sort=True).sort("target").rows()
    return {
        "clips": clips,
        "drawn": study.train.balance,
        "made_when_read": made,
        "rows_by_class": {str(target): count for target, count in classes},
    }

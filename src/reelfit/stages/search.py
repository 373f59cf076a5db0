"""The settings of each model on each fold, found among the fold's own training videos.

Reads ``folds.parquet``, ``clips.parquet``, ``features.parquet``, the shards
-> writes ``search/<model>/fold_<k>/``: ``trials.jsonl``, ``result.json``; ``search.parquet``.
Runs again when anything it reads, the space, the models or the training settings change. Peak
memory: that of training.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.files import append_json_line, read_json, read_json_lines, write_json
from reelfit.runs import Run
from reelfit.search.proposal import Proposal, Tried, best_of, count_trials
from reelfit.search.settings import SearchSettings
from reelfit.stages.chosen import folder_of, lay_over
from reelfit.stages.feature_models import judge_features
from reelfit.stages.fold import RESULT, begin, hold_out, is_whole, key_of, sides_of
from reelfit.stages.networks import Job, train_job
from reelfit.stages.plans import settled_rungs, shrink
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import Variant, ids_of, read_variants
from reelfit.study import ModelChoice, Study, what_matters, what_matters_of, what_pairs

TRIALS = "trials.jsonl"
PARTS = 1000
"""In how many parts the progress of one trial is told."""


@final
class Search(Stage):
    """One unit per model and fold: its trials follow on each other, each by those before it."""

    name: ClassVar[str] = "search"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "trials"
    reads: ClassVar[tuple[str, ...]] = ("split", "clips", "features")
    writes: ClassVar[tuple[str, ...]] = ("search.parquet",)
    all_threads: ClassVar[bool] = True
    computes: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    shrinks: ClassVar[bool] = True

    def settings(self, study: Study) -> Any:
        """The space, the models, and how they are trained; nothing without a search."""
        if study.search is None:
            return None
        models = what_matters_of(study.models)
        how = [what_matters(study.search), what_matters(study.train), study.allow]
        return [study.task, what_pairs(study), study.seed, *how, models]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Models on folds, where the space has anything for the model."""
        if study.search is None:
            return []
        found = []
        trained = ids_of(run, "network", "features")
        for choice in [choice for choice in study.models if choice.id in trained]:
            trials = count_trials(study.search, choice.id)
            variant = settled_rungs(run).get(choice.id, {}).get("variant", 0)
            for fold in run.folds():
                if trials and not is_whole(folder_of(run, choice.id, fold), key_of(key, variant)):
                    facts = {"model": choice.id, "fold": fold, "variant": variant}
                    found.append(Unit(self.name, f"{choice.id}/fold_{fold}", trials, facts))
        return found

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """All trials of one model on one fold, from the first that has not ended."""
        choice = next(c for c in study.models if c.id == unit.facts["model"])
        fold, variant = unit.facts["fold"], unit.facts["variant"]
        folder = folder_of(run, choice.id, fold)
        key = key_of(context.key, variant)
        begin(folder, key)
        context.memory.place.update(model=choice.id, fold=fold)
        trials = _trials_of(run, study, choice, variant, fold)
        history = [_tried(line) for line in read_json_lines(folder / TRIALS)]
        while len(history) < unit.items:
            tried = trials.try_next(history, context, of=unit.items)
            append_json_line(folder / TRIALS, asdict(tried))
            shutil.rmtree(trials.folder(len(history)), ignore_errors=True)
            history.append(tried)
        best = best_of(history, higher_is_better=trials.higher_is_better)
        values = {} if best is None else history[best].values
        write_json(folder / RESULT, {"key": key, "trial": best, "values": values})

    def shrink(self, run: Run, study: Study, unit: Unit, *, host_bytes: int) -> bool:
        """The network begins again, in its search too, with what the study lets it give up."""
        return shrink(run, study, unit, host_bytes=host_bytes)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """Every trial of every model on every fold."""
        from reelfit.data.evaluation_tables import frame_of
        from reelfit.data.tables import SEARCH, write_table

        rows = []
        for choice in study.models:
            for fold in run.folds():
                folder = folder_of(run, choice.id, fold)
                if study.search is None or not (folder / RESULT).exists():
                    continue
                chosen = read_json(folder / RESULT)["trial"]
                for number, line in enumerate(read_json_lines(folder / TRIALS)):
                    rows.append(
                        {
                            "model": choice.id,
                            "fold": fold,
                            "trial": number,
                            "values": json.dumps(line["values"]),
                            "metric": study.search.metric,
                            "value": line["value"],
                            "epochs": len(line["by_epoch"]),
                            "pruned": line["pruned"],
                            "chosen": number == chosen,
                        }
                    )
        write_table(frame_of(rows, SEARCH), run.file("search.parquet"), SEARCH)


@dataclass(frozen=True)
class _Trials:
    """The trials of one model on one fold."""

    run: Run
    study: Study
    settings: SearchSettings
    choice: ModelChoice
    variant: int
    fold: int
    seed: int
    higher_is_better: bool
    train: pl.DataFrame
    judged: pl.DataFrame

    def folder(self, number: int) -> Path:
        """Where a trial keeps its checkpoints while it lasts."""
        return folder_of(self.run, self.choice.id, self.fold) / f"trial_{number:03d}"

    def try_next(self, history: list[Tried], context: Context, *, of: int) -> Tried:
        """The next combination, trained and judged; a trial that was killed goes on."""
        number = len(history)
        proposal = Proposal(
            self.settings,
            self.choice.id,
            history,
            higher_is_better=self.higher_is_better,
            seed=self.seed,
        )
        context.event(
            "trial", model=self.choice.id, fold=self.fold, trial=number, values=proposal.values
        )

        def report(done: int, total: int) -> None:
            part = PARTS * done // max(total, 1)
            context.report_progress(PARTS * number + part, PARTS * of)

        within = replace(context, report_progress=report)
        study, choice = lay_over(self.study, self.choice, proposal.values)
        variants = read_variants(self.run).get(choice.id)
        if variants is None:
            return self._fit(choice, study, proposal)
        variant = variants[self.variant]
        variant = replace(variant, options=variant.options | choice.options)
        return self._train(choice, study, variant, proposal, within)

    def _train(
        self,
        choice: ModelChoice,
        study: Study,
        variant: Variant,
        proposal: Proposal,
        context: Context,
    ) -> Tried:
        folder, epochs = self.folder(proposal.number), study.train.epochs
        folder.mkdir(exist_ok=True)
        told = folder / "metrics.jsonl"

        def is_hopeless(_measured: dict[str, float | None], epoch: int) -> bool:
            return epoch < epochs and proposal.is_hopeless(self._by_epoch(told))

        job = Job(
            choice,
            variant,
            self.fold,
            folder,
            self.seed,
            self.train,
            self.judged,
            is_hopeless=is_hopeless,
        )
        progress = train_job(self.run, study, job, context)
        by_epoch = self._by_epoch(told)
        pruned = progress.epoch < epochs and proposal.is_hopeless(by_epoch)
        return Tried(proposal.values, by_epoch.get(progress.best_epoch), by_epoch, pruned)

    def _by_epoch(self, told: Path) -> dict[int, float]:
        """The metric on the clips that judge, after each epoch where it was defined."""
        return {
            line["epoch"]: line["value"]
            for line in read_json_lines(told)
            if line["phase"] == "validation" and line["metric"] == self.settings.metric
            if line["value"] is not None
        }

    def _fit(self, choice: ModelChoice, study: Study, proposal: Proposal) -> Tried:
        from reelfit.models import make_model
        from reelfit.models.model import FeatureModel

        model = make_model(choice.name, choice.options)
        assert isinstance(model, FeatureModel)
        measured = judge_features(self.run, study, model, self.train, self.judged, seed=self.seed)
        return Tried(proposal.values, measured[self.settings.metric])


def _trials_of(run: Run, study: Study, choice: ModelChoice, variant: int, fold: int) -> _Trials:
    from reelfit.data.seeds import seed_for
    from reelfit.metrics import higher_is_better
    from reelfit.stages.learners import LEARNERS

    settings = study.search
    assert settings is not None
    seed = seed_for(study.seed, "search", choice.id, fold)
    train, _ = sides_of(run, fold)
    train, judged = hold_out(
        train,
        share=settings.holdout,
        seed=seed,
        stratified=LEARNERS[study.task].stratified,
    )
    return _Trials(
        run=run,
        study=study,
        settings=settings,
        choice=choice,
        variant=variant,
        fold=fold,
        seed=seed,
        higher_is_better=higher_is_better(settings.metric),
        train=train,
        judged=judged,
    )


def _tried(line: dict[str, Any]) -> Tried:
    by_epoch = {int(epoch): value for epoch, value in line["by_epoch"].items()}
    return Tried(line["values"], line["value"], by_epoch, line["pruned"])

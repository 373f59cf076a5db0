"""Each model on each fold, but those that learn from other models.

Reads ``folds.parquet``, ``clips.parquet``, ``features.parquet``, the shards
-> writes ``<model>/fold_<k>/``: checkpoints, ``predictions.parquet``, ``metrics.jsonl``; of the
features that models left out ``cut_features.parquet``.
Runs again when anything it reads, the model or the training settings change. Peak memory: the
network, its gradients and optimizer state, and the activations of one micro-batch.
"""

from dataclasses import replace
from typing import Any, ClassVar, final

from reelfit.data.listing import Listing
from reelfit.files import write_json, write_text
from reelfit.runs import Run
from reelfit.stages.chosen import with_chosen
from reelfit.stages.feature_models import fit_features, gather_cuts
from reelfit.stages.fold import RESULT, begin, is_whole, key_of
from reelfit.stages.leakage import require_no_leak
from reelfit.stages.networks import train_network
from reelfit.stages.plans import settled_rungs, shrink
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import ids_of, read_variants
from reelfit.study import Study, what_matters, what_matters_of, what_pairs


@final
class Train(Stage):
    """One unit per model and fold; it goes on from its newest whole checkpoint."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 2
    items: ClassVar[str] = "folds"
    reads: ClassVar[tuple[str, ...]] = ("split", "clips", "features", "search")
    writes: ClassVar[tuple[str, ...]] = ("metrics.jsonl", "cut_features.parquet")
    all_threads: ClassVar[bool] = True
    computes: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    shrinks: ClassVar[bool] = True

    def settings(self, study: Study) -> Any:
        """The models, and how they are trained."""
        how = [what_matters(study.train), study.allow]
        models = what_matters_of(study.models)
        return [study.task, what_pairs(study), study.seed, *how, models]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Models on folds that have no result under this key; networks first, being slowest."""
        found = []
        networks, settled = read_variants(run), settled_rungs(run)
        trained = ids_of(run, "network", "features")
        models = [choice for choice in study.models if choice.id in trained]
        for choice in sorted(models, key=lambda choice: choice.id in networks, reverse=True):
            variant = settled.get(choice.id, {}).get("variant", 0)
            for fold in run.folds():
                if not is_whole(run.fold(choice.id, fold), key_of(key, variant)):
                    facts = {"model": choice.id, "fold": fold, "variant": variant}
                    found.append(Unit(self.name, f"{choice.id}/fold_{fold}", 1, facts))
        return found

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Trains one model on one fold, and predicts the videos that it never saw."""
        from reelfit.models import make_model
        from reelfit.models.model import FeatureModel, Network

        choice = next(c for c in study.models if c.id == unit.facts["model"])
        fold = unit.facts["fold"]
        folder = run.fold(choice.id, fold)
        key = key_of(context.key, unit.facts["variant"])
        begin(folder, key)
        study, choice = with_chosen(run, study, choice, fold)
        model = make_model(choice.name, choice.options)
        context.memory.place.update(model=choice.id, fold=fold)
        if isinstance(model, Network):
            variant = read_variants(run)[choice.id][unit.facts["variant"]]
            variant = replace(variant, options=variant.options | choice.options)
            result = train_network(run, study, choice, variant, fold, context)
        else:
            assert isinstance(model, FeatureModel)
            result = fit_features(run, study, choice.id, model, fold, context)
        write_json(folder / RESULT, {"key": key} | result)

    def shrink(self, run: Run, study: Study, unit: Unit, *, host_bytes: int) -> bool:
        """All folds of the unit's network begin again with what the study lets it give up."""
        return shrink(run, study, unit, host_bytes=host_bytes)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The metrics and the cut features of all units, in the order of models and folds."""
        require_no_leak(run)  # all folds may have stood before
        parts = []
        for choice in study.models:
            for fold in run.folds():
                told = run.fold(choice.id, fold) / "metrics.jsonl"
                parts.append(told.read_text() if told.exists() else "")
        write_text(run.file("metrics.jsonl"), "".join(parts))
        gather_cuts(run, study, context)

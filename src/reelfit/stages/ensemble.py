"""Models of the study put together, by predictions of videos that they never saw.

Reads ``<model>/fold_<k>/predictions.parquet`` -> writes the same for each ensemble, with a
checkpoint; ``ensemble.json``.
Runs again when the training did. Peak memory: the predictions of all models.
"""

from typing import ClassVar, final

from reelfit.data.listing import Listing
from reelfit.files import read_json, write_json
from reelfit.runs import Run
from reelfit.stages.evaluated import predictions_of
from reelfit.stages.feature_models import save_weights
from reelfit.stages.fold import RESULT, begin, is_whole, write_predictions
from reelfit.stages.founded import members_of
from reelfit.stages.judging import arrays
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import ids_of
from reelfit.study import Study


@final
class Ensembles(Stage):
    """One unit per ensemble.

    What is used on a fold is learnt from the predictions of the other folds' videos alone, so that
    no label of a video teaches what judges it.
    """

    name: ClassVar[str] = "ensemble"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "folds"
    reads: ClassVar[tuple[str, ...]] = ("train", "deep")
    writes: ClassVar[tuple[str, ...]] = ("ensemble.json",)

    def is_asked(self, study: Study) -> bool:
        """Where there is one."""
        return any(choice.name == "ensemble" for choice in study.models)

    def settings(self, study: Study) -> None:
        """Nothing beside what the training depends on, which has all models and the seed."""

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Ensembles that have no result under this key on some fold."""
        folds = run.folds()
        return [
            Unit(self.name, model, len(folds), {"model": model})
            for model in sorted(ids_of(run, "ensemble"))
            if not all(is_whole(run.fold(model, fold), key) for fold in folds)
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Learns for each fold from the others' predictions, and predicts its videos."""
        import numpy as np

        from reelfit.models import make_model
        from reelfit.models.ensemble import Ensemble

        ensemble_id = unit.facts["model"]
        choice = next(choice for choice in study.models if choice.id == ensemble_id)
        model = make_model(choice.name, choice.options)
        assert isinstance(model, Ensemble)
        members = members_of(model, study, ensembles=ids_of(run, "ensemble"))
        tables = [predictions_of(run, member) for member in members]
        videos, folds = tables[0], tables[0]["fold"].to_numpy()
        assert all(table["video_id"].equals(videos["video_id"]) for table in tables)
        said, targets = np.stack([arrays(table)[1] for table in tables]), arrays(videos)[0]
        for fold in run.folds():
            own = folds == fold
            weights = model.learn(
                said[:, ~own], targets[~own], balanced=study.train.balance != "none"
            )
            folder = run.fold(ensemble_id, fold)
            begin(folder, context.key)
            save_weights(folder, weights, {"how": model.how, "of": members})
            found = model.combine(weights, said[:, own])
            write_predictions(folder, videos.filter(own), ensemble_id, fold, found)
            counts = {"num_train": int((~own).sum()), "num_validation": int(own.sum())}
            shares = weights["share"].tolist() if "share" in weights else None
            facts = {"how": model.how, "of": members, "share": shares, "best_epoch": 0}
            write_json(folder / RESULT, {"key": context.key} | counts | facts)
            context.report_progress(fold, unit.items)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """How the members of each ensemble are put together on each fold, and an event of it."""
        found, ensembles = {}, ids_of(run, "ensemble")
        for model in [choice.id for choice in study.models if choice.id in ensembles]:
            folds = run.folds()
            results = [read_json(run.fold(model, fold) / RESULT) for fold in folds]
            how, members = results[0]["how"], results[0]["of"]
            shares = [result["share"] for result in results]
            found[model] = {"how": how, "of": members, "share_by_fold": shares}
            by_member = [] if None in shares else zip(*shares, strict=True)
            means = [sum(each) / len(each) for each in by_member]
            context.event("ensemble", model=model, how=how, of=members, shares=means)
        write_json(run.file("ensemble.json"), found)

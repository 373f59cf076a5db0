"""Classical models on what trained networks make of a clip before their head.

Reads ``folds.parquet``, ``clips.parquet``, the shards, the networks' checkpoints
-> writes ``<model>/fold_<k>/``: a checkpoint, ``predictions.parquet``; ``deep.json``.
Runs again when the training did. Peak memory: the network's weights, the activations of one batch,
a row of features per video.
"""

from typing import ClassVar, final

from reelfit.data.listing import Listing
from reelfit.errors import OutOfMemoryError, Restart
from reelfit.files import write_json
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.feature_models import save_weights
from reelfit.stages.fold import RESULT, begin, is_whole, sides_of, write_predictions
from reelfit.stages.restored import Restored, features_before_head
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import ids_of
from reelfit.study import ON_NETWORKS, Study


@final
class Deep(Stage):
    """One unit per such model and fold. Its network is that fold's: it never saw what judges."""

    name: ClassVar[str] = "deep"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "folds"
    reads: ClassVar[tuple[str, ...]] = ("split", "clips", "train")
    writes: ClassVar[tuple[str, ...]] = ("deep.json",)
    all_threads: ClassVar[bool] = True
    computes: ClassVar[bool] = True

    def is_asked(self, study: Study) -> bool:
        """Where there is such a model."""
        return any(choice.name in ON_NETWORKS for choice in study.models)

    def settings(self, study: Study) -> None:
        """Nothing beside what the training depends on, which has all models and the seed."""

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Models on folds that have no result under this key."""
        return [
            Unit(self.name, f"{model}/fold_{fold}", 1, {"model": model, "fold": fold})
            for model in sorted(ids_of(run, "deep"))
            for fold in run.folds()
            if not is_whole(run.fold(model, fold), key)
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Fits one model on one fold's originals, and predicts the videos that it never saw.

        Raises:
            Restart: memory ran out; alone with the whole budget there may be enough.
        """
        try:
            _fit(run, study, unit.facts["model"], unit.facts["fold"], context)
        except OutOfMemoryError as error:
            raise Restart(str(error)) from None

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """Which models were fitted."""
        write_json(run.file("deep.json"), {"models": sorted(ids_of(run, "deep"))})


def _fit(run: Run, study: Study, model_id: str, fold: int, context: Context) -> None:
    import polars as pl

    from reelfit.data.seeds import seed_for
    from reelfit.models import make_model
    from reelfit.models.model import OnNetwork

    folder = run.fold(model_id, fold)
    begin(folder, context.key)
    context.memory.place.update(model=model_id, fold=fold)
    choice = next(choice for choice in study.models if choice.id == model_id)
    model = make_model(choice.name, choice.options)
    assert isinstance(model, OnNetwork)
    train, validation = sides_of(run, fold)
    train = train.filter(pl.col("copy") == 0)  # a row per video, as for handcrafted features
    clips = pl.concat([train, validation])
    network = next(choice for choice in study.models if choice.id == model.model)
    shards = Clips().folder(run, study)
    features = features_before_head(Restored(run, study, network, fold), clips, shards, context)
    classifier, count = model.classifier(), train.height
    weights = classifier.fit(
        features[:count],
        train["target"].cast(pl.Int64).to_numpy(),
        num_classes=len(run.facts()["classes"]),
        balanced=study.train.balance != "none",
        seed=seed_for(study.seed, "deep", model_id, fold),
    )
    save_weights(folder, weights, {"model": model.model, "features": features.shape[1]})
    probabilities = classifier.probabilities(weights, features[count:])
    write_predictions(folder, validation, model_id, fold, probabilities)
    result = {"num_train": count, "num_validation": validation.height, "best_epoch": 0}
    write_json(folder / RESULT, {"key": context.key} | result)
    context.report_progress(1, 1)

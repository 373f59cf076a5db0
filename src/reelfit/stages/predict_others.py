"""What each fold's model says of the videos of other sets, and which of these the study has, too.

Reads ``<model>/fold_<k>/checkpoints/``, the other sets' clips and features
-> writes ``evaluate_on/<name>/``: ``<model>/fold_<k>/predictions.parquet``, ``videos.parquet``,
``duplicates.parquet``.
Runs again for folds that were trained again and sets that changed. Peak memory: the network and the
activations of one micro-batch, without gradients.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.data.others import OtherVideos
from reelfit.files import digest, file_digest, read_json, write_json
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.fold import RESULT, begin, is_whole
from reelfit.stages.others import study_on
from reelfit.stages.restored import (
    Restored,
    checkpoint_of,
    has_checkpoints,
    predict_by_features,
    predict_by_network,
    predict_on_network,
)
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.unseen import settle_videos, usable_clips
from reelfit.study import Study


@final
class PredictOthers(Stage):
    """One unit per set, model and fold, where the model keeps a checkpoint of each fold."""

    name: ClassVar[str] = "predict_others"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "videos"
    reads: ClassVar[tuple[str, ...]] = ("train", "deep", "other_clips", "other_features")
    writes: ClassVar[tuple[str, ...]] = ()
    all_threads: ClassVar[bool] = True
    computes: ClassVar[bool] = True

    def is_asked(self, study: Study) -> bool:
        """Where there is another set."""
        return bool(study.evaluate_on)

    def settings(self, study: Study) -> Any:
        """The names of the sets."""
        return [other.name for other in study.evaluate_on]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Folds of models that have not seen a set as it is now."""
        found = []
        for other in study.evaluate_on:
            videos = usable_clips(run.on(other.name)).height
            for choice in study.models if videos else []:
                if not has_checkpoints(run, choice.id):
                    continue
                for fold in run.folds():
                    folder = run.on(other.name).fold(choice.id, fold)
                    own = self._key(run, other, choice.id, fold)
                    if not is_whole(folder, own):
                        facts = {"other": other.name, "model": choice.id, "fold": fold, "key": own}
                        name = f"{other.name}/{choice.id}/fold_{fold}"
                        found.append(Unit(self.name, name, videos, facts))
        return found

    def _key(self, run: Run, other: OtherVideos, model: str, fold: int) -> str:
        """Of what was trained, and of the clips and features that it is shown."""
        inside = run.on(other.name)
        shown = [file_digest(inside.file(f"{name}.parquet")) for name in ("clips", "features")]
        return digest([self.version, read_json(run.fold(model, fold) / RESULT)["key"], shown])

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """The probabilities that one model of one fold gives each video."""
        from reelfit.data.evaluation_tables import SAID_OF_OTHERS
        from reelfit.data.tables import write_table
        from reelfit.models import make_model
        from reelfit.models.model import FeatureModel, Network, OnNetwork

        other = next(each for each in study.evaluate_on if each.name == unit.facts["other"])
        choice = next(each for each in study.models if each.id == unit.facts["model"])
        inside, fold = run.on(other.name), unit.facts["fold"]
        folder = inside.fold(choice.id, fold)
        begin(folder, unit.facts["key"])
        context.memory.place.update(model=choice.id, fold=fold)
        clips, path = usable_clips(inside), checkpoint_of(run, choice.id, fold)
        assert path is not None
        shards = Clips().folder(inside, study_on(study, other))
        model, found = make_model(choice.name, choice.options), None
        if isinstance(model, FeatureModel):
            features = pl.read_parquet(inside.file("features.parquet"))
            rows = clips.select("video_id").join(features, on="video_id", maintain_order="left")
            found = predict_by_features(path, model, rows)
        elif isinstance(model, Network):
            restored = Restored(run, study, choice, fold)
            found = predict_by_network(restored, clips, shards, context)
        elif isinstance(model, OnNetwork):
            network = next(each for each in study.models if each.id == model.model)
            restored = Restored(run, study, network, fold)
            found = predict_on_network(path, model, restored, clips, shards, context)
        if found is not None:
            given = pl.Series("probabilities", found.tolist(), dtype=pl.List(pl.Float64))
            table = clips.select("video_id", given)
            write_table(table, folder / "predictions.parquet", SAID_OF_OTHERS)
        write_json(folder / RESULT, {"key": unit.facts["key"], "predicts": found is not None})
        context.report_progress(unit.items, unit.items)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """Which videos the study has, too."""
        for other in study.evaluate_on:
            videos = settle_videos(run, run.on(other.name), most_bits=study.folds.near_duplicates)
            shared = videos.drop_nulls("shared").height
            context.event("others", other=other.name, videos=videos.height, shared=shared)

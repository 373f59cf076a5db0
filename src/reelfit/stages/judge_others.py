"""How good the trained models are on videos of other sets, beside what they reach out of fold.

Reads ``evaluate_on/<name>/``, ``summary.parquet`` -> writes ``evaluate_on.parquet``,
``evaluate_on_predictions.parquet``, ``evaluate_on_rejected.parquet``.
Runs again when the predictions or the settings of the evaluation change. Peak memory: the
predictions of one model, and 50 weights for each video.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.data.others import OtherVideos
from reelfit.data.seeds import seed_for
from reelfit.files import read_json
from reelfit.runs import Run
from reelfit.stages.evaluated import Evaluated, evaluated
from reelfit.stages.fold import RESULT
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.unseen import OF_OTHERS
from reelfit.study import Study, what_matters

REASONS = {
    "content": "the study has a video of the same content",
    "look": "it looks like a video of the study",
    "group": "its group has a video that the study has, too",
}


@final
class JudgeOthers(Stage):
    """One unit per set and model."""

    name: ClassVar[str] = "judge_others"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "resamples"
    reads: ClassVar[tuple[str, ...]] = ("evaluate", "predict_others")
    writes: ClassVar[tuple[str, ...]] = (
        "evaluate_on.parquet",
        "evaluate_on_predictions.parquet",
        "evaluate_on_rejected.parquet",
    )

    def is_asked(self, study: Study) -> bool:
        """Where there is another set."""
        return bool(study.evaluate_on)

    def settings(self, study: Study) -> Any:
        """How intervals are made, and what becomes of videos that the study has, too."""
        sets = [[other.name, other.duplicates] for other in study.evaluate_on]
        return [sets, what_matters(study.evaluate), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The models that have said something of a set and are not judged under this key."""
        items = study.evaluate.bootstrap * (len(run.folds()) + 1)
        return [
            Unit(self.name, f"{other.name}/{model}", items, {"other": other.name, "model": model})
            for other in study.evaluate_on
            for model in _models(run, study, other)
            if not _judged(run, key, other.name, model).whole
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """The metrics of one model on one set, with intervals."""
        from reelfit.stages import judging_others

        other = next(each for each in study.evaluate_on if each.name == unit.facts["other"])
        model, inside = unit.facts["model"], run.on(other.name)
        videos = judged_videos(inside, other)
        folds = {
            fold: videos.join(
                pl.read_parquet(inside.fold(model, fold) / "predictions.parquet"),
                on="video_id",
                maintain_order="left",
            )
            for fold in run.folds()
        }
        told = evaluated(run, run.done("evaluate") or "", model)
        summary = pl.read_parquet(run.file("summary.parquet")).filter(pl.col("model") == model)
        predictions = judging_others.predictions_of_folds(folds, other.name, model)
        results = judging_others.judge(
            predictions,
            summary,
            told.read("samples"),
            classes=run.facts()["classes"],
            resamples=study.evaluate.bootstrap,
            seed=seed_for(study.seed, "evaluate_on", other.name),
            on_progress=lambda done: context.report_progress(done, unit.items),
        )
        tables = {"results": results, "predictions": predictions}
        _judged(run, context.key, other.name, model).write(tables)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The tables, sets and models in the order of the study."""
        from reelfit.data import evaluation_tables as schemas
        from reelfit.data.tables import write_table

        found = [
            _judged(run, context.key, other.name, model)
            for other in study.evaluate_on
            for model in _models(run, study, other)
        ]
        rejected = [
            _left_out(run, other, listing.others[other.name]) for other in study.evaluate_on
        ]
        for parts, name, schema in (
            ([each.read("results") for each in found], "", schemas.EVALUATE_ON),
            ([each.read("predictions") for each in found], "_predictions", schemas.OTHERS_SAID),
            (rejected, "_rejected", schemas.OTHERS_REJECTED),
        ):
            table = pl.concat([schemas.frame_of([], schema), *parts])
            write_table(table, run.file(f"evaluate_on{name}.parquet"), schema)


def judged_videos(inside: Run, other: OtherVideos) -> pl.DataFrame:
    """The videos of a set that models are judged by: video_id, path, group, target."""
    videos = pl.read_parquet(inside.file(OF_OTHERS))
    if other.duplicates == "leave_out":
        videos = videos.filter(pl.col("shared").is_null())
    return videos.select("video_id", "path", "group", "target")


def _judged(run: Run, key: str, other: str, model: str) -> Evaluated:
    return Evaluated(run.state / "judge_others" / key[:16] / other / model)


def _models(run: Run, study: Study, other: OtherVideos) -> list[str]:
    """Those whose folds all said something of the set, of which videos are left."""
    inside, found = run.on(other.name), []
    if judged_videos(inside, other).is_empty():
        return []
    for choice in study.models:
        folds = run.folds()
        results = [inside.fold(choice.id, fold) / RESULT for fold in folds]
        if all(path.exists() and read_json(path)["predicts"] for path in results):
            found.append(choice.id)
    return found


def _left_out(run: Run, other: OtherVideos, listing: Listing) -> pl.DataFrame:
    """The rows that could not be used, and those that the study has, too."""
    inside = run.on(other.name)
    keeps = other.duplicates == "keep"
    rejected = pl.read_parquet(inside.file("rejected.parquet")).with_columns(kept=pl.lit(False))
    shared = (
        pl.read_parquet(inside.file(OF_OTHERS))
        .drop_nulls("shared")
        .join(listing.rows.select("path", "row"), on="path")
        .select(
            "path",
            "row",
            pl.lit("duplicates").alias("stage"),
            pl.col("shared").replace_strict(REASONS, return_dtype=pl.String).alias("reason"),
            pl.concat_str(
                "with",
                pl.when(pl.col("distance") > 0)
                .then(pl.format(", {} bits apart", "distance"))
                .otherwise(pl.lit("")),
            ).alias("detail"),
            pl.lit(keeps).alias("kept"),
        )
    )
    table = pl.concat([rejected, shared]).sort("row", "path")
    return table.select(pl.lit(other.name).alias("other"), pl.all())

"""How good each model is, by predictions of videos whose group it never saw.

Reads ``<model>/fold_<k>/predictions.parquet``, ``index.parquet``, ``folds.parquet``, the user's
columns -> writes ``predictions.parquet``, ``kfold_results.feather``, ``summary.parquet`` and the
tables of ``data/evaluation_tables.py``.
Runs again when the training did, or the settings or the columns of subsets change. Peak memory: the
predictions, and 50 weights for each.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.data.seeds import seed_for
from reelfit.files import digest
from reelfit.runs import Run
from reelfit.stages.evaluated import CONTROL, Evaluated, evaluated, predictions_of, results_of
from reelfit.stages.listed import listing_of
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters

BANDS = ((2160, "2160 and more"), (1080, "1080 to 2159"), (720, "720 to 1079"), (360, "360 to 719"))
"""Of the shorter side in pixels, from the largest; the rest is below."""
MISSING = "not said"
"""The subset of videos whose cell in the user's table is empty."""


@final
class Evaluate(Stage):
    """One unit per model, and one for the control on container facts: their intervals take time."""

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 2
    items: ClassVar[str] = "resamples"
    reads: ClassVar[tuple[str, ...]] = ("train", "deep", "ensemble")
    writes: ClassVar[tuple[str, ...]] = (
        "predictions.parquet",
        "kfold_results.feather",
        "summary.parquet",
        "group_summary.parquet",
        "subsets.parquet",
        "adjusted.parquet",
        "calibration.parquet",
        "comparison.parquet",
        "control_predictions.parquet",
        "control_facts.parquet",
        "permutations.parquet",
    )

    def is_asked(self, study: Study) -> bool:
        """For the task classify."""
        return study.task == "classify"

    def settings(self, study: Study) -> Any:
        """All of its section, and the seed."""
        return [what_matters(study.evaluate), study.seed]

    def inputs(self, listing: Listing) -> Any:
        """The columns by which subsets are told."""
        return digest(listing.columns.to_dicts()) if listing.columns.width else None

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The models, and the control, that are not judged under this key."""
        items = study.evaluate.bootstrap
        found = [
            Unit(self.name, choice.id, items + study.evaluate.permutations, {"model": choice.id})
            for choice in study.models
            if not evaluated(run, key, choice.id).whole
        ]
        if not evaluated(run, key, CONTROL).whole:
            found.append(Unit(self.name, "control/container_facts", items, {"model": CONTROL}))
        return found

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Judges one model, or trains and judges the control."""
        if unit.facts["model"] == CONTROL:
            _judge_control(run, study, unit, context)
        else:
            _judge_model(run, study, unit, context)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The tables, models in the order of the study, videos by identity."""
        from reelfit.data import evaluation_tables as schemas
        from reelfit.data.tables import KFOLD_RESULTS, PREDICTIONS, SUMMARY, write_table

        found = [evaluated(run, context.key, choice.id) for choice in study.models]
        predictions = [predictions_of(run, choice.id) for choice in study.models]
        control = evaluated(run, context.key, CONTROL)
        permutations = (
            [each.read("permutations") for each in found]
            if (study.evaluate.permutations)
            else [schemas.frame_of([], schemas.PERMUTATIONS)]
        )
        for table, name, schema in (
            (pl.concat(predictions), "predictions.parquet", PREDICTIONS),
            (_all(found, "kfold_results"), "kfold_results.feather", KFOLD_RESULTS),
            (_all(found, "summary"), "summary.parquet", SUMMARY),
            (_all(found, "group_summary"), "group_summary.parquet", schemas.GROUP_SUMMARY),
            (_all(found, "subsets"), "subsets.parquet", schemas.SUBSETS),
            (_all(found, "adjusted"), "adjusted.parquet", schemas.ADJUSTED),
            (_all(found, "calibration"), "calibration.parquet", schemas.CALIBRATION),
            (_compared(found, control), "comparison.parquet", schemas.COMPARISON),
            (control.read("predictions"), "control_predictions.parquet", PREDICTIONS),
            (control.read("facts"), "control_facts.parquet", schemas.CONTROL_FACTS),
            (pl.concat(permutations), "permutations.parquet", schemas.PERMUTATIONS),
        ):
            write_table(table, run.file(name), schema)


def _all(found: list[Evaluated], name: str) -> pl.DataFrame:
    return pl.concat([each.read(name) for each in found])


def _judge_model(run: Run, study: Study, unit: Unit, context: Context) -> None:
    from reelfit.data.evaluation_tables import PERMUTATIONS, frame_of
    from reelfit.stages import judging
    from reelfit.stages.permuting import permutation_row

    model, how = unit.facts["model"], _how(study)
    predictions = predictions_of(run, model)
    results = judging.fold_results(predictions, model, results_of(run, model))
    samples = judging.bootstrap(
        predictions, **how, on_progress=lambda done: context.report_progress(done, unit.items)
    )
    adjusted = judging.adjust(predictions)
    tables = {
        "kfold_results": results,
        "summary": judging.summarise(predictions, results, samples),
        "group_summary": judging.by_group(predictions, **how),
        "subsets": judging.by_subset(predictions, _columns(run, study), **how),
        "adjusted": adjusted,
        "calibration": judging.calibration(predictions, adjusted),
        "samples": pl.DataFrame(samples),
    }
    if study.evaluate.permutations:
        done = study.evaluate.bootstrap
        row = permutation_row(
            run,
            study,
            model,
            predictions,
            on_progress=lambda number: context.report_progress(done + number, unit.items),
        )
        tables["permutations"] = frame_of([row], PERMUTATIONS)
    evaluated(run, context.key, model).write(tables)


def _judge_control(run: Run, study: Study, unit: Unit, context: Context) -> None:
    from reelfit.stages import judging
    from reelfit.stages.container_control import control_predictions, facts_alone

    first = predictions_of(run, study.models[0].id)  # all models predict the same videos
    index = pl.read_parquet(run.file("index.parquet"))
    folds = pl.read_parquet(run.file("folds.parquet"))
    paths = folds.select("video_id", "path")
    videos = first.join(paths, on="video_id", how="left", maintain_order="left")
    trained, seed = folds.filter(pl.col("fold") == 0), seed_for(study.seed, "control")
    together = control_predictions(videos, index, never_judged=trained, seed=seed)
    facts = facts_alone(
        videos,
        index,
        together,
        never_judged=trained,
        **_how(study),
        on_progress=lambda done: context.report_progress(done, unit.items),
    )
    results = judging.fold_results(together, CONTROL, results_of(run, study.models[0].id))
    samples = judging.bootstrap(together, metrics=("roc_auc",), **_how(study))
    tables = {
        "kfold_results": results,
        "predictions": together,
        "facts": facts,
        "samples": pl.DataFrame({"roc_auc": samples["roc_auc"]}),
    }
    evaluated(run, context.key, CONTROL).write(tables)


def _how(study: Study) -> dict[str, Any]:
    return {"resamples": study.evaluate.bootstrap, "seed": study.seed}


def _columns(run: Run, study: Study) -> pl.DataFrame:
    """By which subsets are told, of each video: what is always known, then the user's columns."""
    index = pl.read_parquet(run.file("index.parquet"))
    side = pl.min_horizontal("width", "height")
    band = pl.lit("below 360")
    for least, name in reversed(BANDS):
        band = pl.when(side >= least).then(pl.lit(name)).otherwise(band)
    known = index.select("path", band.alias("shorter side"), pl.col("codec"))
    if study.evaluate.subsets:
        listing = listing_of(study)
        named = listing.columns.select(pl.all().fill_null(MISSING))
        known = known.drop(named.columns, strict=False).join(
            pl.concat([listing.rows.select("path"), named], how="horizontal"), on="path", how="left"
        )
    videos = pl.read_parquet(run.file("folds.parquet")).select("video_id", "path")
    return videos.join(known, on="path", how="left", maintain_order="left").drop("path")


def _compared(found: list[Evaluated], control: Evaluated) -> pl.DataFrame:
    from reelfit.stages.comparing import comparison_table, judged

    models = []
    for each in found:
        summary = each.read("summary").row(by_predicate=pl.col("metric") == "roc_auc", named=True)
        samples = each.read("samples")["roc_auc"].to_numpy()
        results = each.read("kfold_results")
        models.append(judged(summary["model"], results, summary["out_of_fold"], samples))
    together = control.read("facts").row(0, named=True)
    beside = judged(
        CONTROL,
        control.read("kfold_results"),
        together["value"],
        control.read("samples")["roc_auc"].to_numpy(),
    )
    groups = control.read("predictions")["group"].n_unique()
    return comparison_table(models, beside, control.read("kfold_results"), num_groups=groups)

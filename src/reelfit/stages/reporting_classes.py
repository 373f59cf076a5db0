"""What the report tells of a run that classifies."""

from typing import TYPE_CHECKING

import polars as pl

from reelfit.runs import Run
from reelfit.stages.reporting import shared_content
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.data.shards import ShardReader
    from reelfit.report import Evaluation, Mistake, OtherSet, ReportContent

MISTAKES = 6
SHEETS_PER_CLASS = 2


def classification_content(run: Run, study: Study, reader: "ShardReader") -> "ReportContent":
    """All of it. Memory: the tables, and the clips that are shown."""
    from reelfit.data import tables
    from reelfit.report import ReportContent

    classes = run.facts()["classes"]
    predictions = tables.read_table(run.file("predictions.parquet"), tables.PREDICTIONS)
    summary = tables.read_table(run.file("summary.parquet"), tables.SUMMARY)
    folds = tables.read_table(run.file("folds.parquet"), tables.FOLDS)
    clips = tables.read_table(run.file("clips.parquet"), tables.CLIPS)
    shown = (
        folds.join(clips, on="video_id", how="semi")
        .sort("target", "video_id")
        .group_by("target", maintain_order=True)
        .head(SHEETS_PER_CLASS)
    )
    return ReportContent(
        **shared_content(
            run, study, reader, shown=shown, named=lambda video: str(classes[video["target"]])
        ),
        predictions=predictions,
        kfold_results=tables.read_table(run.file("kfold_results.feather"), tables.KFOLD_RESULTS),
        summary=summary,
        evaluation=_evaluation(run),
        others=_others(run, study),
        classes=classes,
        mistakes=_mistakes(_best_model(summary), predictions, folds, clips, classes, reader),
    )


def _evaluation(run: Run) -> "Evaluation":
    from reelfit.data import evaluation_tables as schemas
    from reelfit.data.tables import read_table
    from reelfit.report import Evaluation

    return Evaluation(
        group_summary=read_table(run.file("group_summary.parquet"), schemas.GROUP_SUMMARY),
        subsets=read_table(run.file("subsets.parquet"), schemas.SUBSETS),
        adjusted=read_table(run.file("adjusted.parquet"), schemas.ADJUSTED),
        calibration=read_table(run.file("calibration.parquet"), schemas.CALIBRATION),
        comparison=read_table(run.file("comparison.parquet"), schemas.COMPARISON),
        control_facts=read_table(run.file("control_facts.parquet"), schemas.CONTROL_FACTS),
        permutations=read_table(run.file("permutations.parquet"), schemas.PERMUTATIONS),
    )


def _others(run: Run, study: Study) -> "tuple[OtherSet, ...]":
    from reelfit.data import evaluation_tables as schemas
    from reelfit.data.tables import read_table
    from reelfit.report import OtherSet

    if not study.evaluate_on:
        return ()
    results = read_table(run.file("evaluate_on.parquet"), schemas.EVALUATE_ON)
    rejected = read_table(run.file("evaluate_on_rejected.parquet"), schemas.OTHERS_REJECTED)
    said = read_table(run.file("evaluate_on_predictions.parquet"), schemas.OTHERS_SAID)
    own = pl.read_parquet(run.file("index.parquet"))["group"]
    found = []
    for other in study.evaluate_on:
        here = pl.col("other") == other.name
        groups = said.filter(here & pl.col("group").is_in(own.implode()))["group"]
        named = groups.n_unique() if other.group is not None else 0
        found.append(OtherSet(other.name, results.filter(here), rejected.filter(here), named))
    return tuple(found)


def _best_model(summary: pl.DataFrame) -> str:
    """The model of the highest out-of-fold ROC AUC; the first of equals."""
    found = summary.filter(pl.col("metric") == "roc_auc").sort(
        "out_of_fold", descending=True, nulls_last=True, maintain_order=True
    )
    return str(found["model"][0])


def _mistakes(
    model: str,
    predictions: pl.DataFrame,
    folds: pl.DataFrame,
    clips: pl.DataFrame,
    classes: list[str],
    reader: "ShardReader",
) -> list["Mistake"]:
    """The wrong predictions that the best model was surest of."""
    from reelfit.report import Mistake

    wrong = (
        predictions.filter((pl.col("model") == model) & (pl.col("predicted") != pl.col("target")))
        .with_columns(probability=pl.col("probabilities").list.max())
        .sort("probability", "video_id", descending=[True, False])
        .head(MISTAKES)
        .join(folds.select("video_id", "path"), on="video_id", maintain_order="left")
        .join(clips.filter(pl.col("copy") == 0), on="video_id", maintain_order="left")
    )
    return [
        Mistake(
            model=model,
            video_id=row["video_id"],
            path=row["path"],
            label=classes[row["target"]],
            predicted=classes[row["predicted"]],
            probability=row["probability"],
            frames=reader.read(row["shard"], offset=row["offset"], num_bytes=row["bytes"]),
        )
        for row in wrong.iter_rows(named=True)
    ]

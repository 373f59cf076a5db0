"""What the run found, for people: one page that works offline, and its tables as text.

Reads all tables and logs of the run, some clips -> writes ``report.html``, ``report.md``.
Runs again when the evaluation did. Peak memory: the tables and some pictures.
"""

import json
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.files import read_json, read_json_lines, write_text
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.look_alikes import look_alikes
from reelfit.stages.plans import given_up_by
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.data.shards import ShardReader
    from reelfit.report import Evaluation, Mistake, OtherSet, Sheet

MISTAKES = 6
SHEETS_PER_CLASS = 2
SHEETS = 6


@final
class Report(Stage):
    """Gathers what stands in the run's folder and draws it."""

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("evaluate", "judge_others", "evaluate_retrieval")
    writes: ClassVar[tuple[str, ...]] = ("report.html", "report.md")

    def settings(self, study: Study) -> Any:
        """What it is called."""
        return study.name

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: it is done at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The page and the text, of the same content."""
        from reelfit.data.shards import ShardReader
        from reelfit.report import render_markdown, render_page

        with ShardReader(Clips().folder(run, study)) as reader:
            content = _content(run, study, listing.classes, reader)
        write_text(run.file("report.md"), render_markdown(content))
        write_text(run.file("report.html"), render_page(content))


def _content(run: Run, study: Study, classes: list[str], reader: "ShardReader") -> Any:
    from reelfit.data import tables
    from reelfit.report import ReportContent
    from reelfit.report.history import (
        decisions,
        memory_table,
        plan_table,
        shrunk_models,
        unit_table,
        worked_seconds,
    )

    events = read_json_lines(run.file("events.jsonl"))
    lines = read_json_lines(run.file("memory.jsonl"))
    predictions = tables.read_table(run.file("predictions.parquet"), tables.PREDICTIONS)
    summary = tables.read_table(run.file("summary.parquet"), tables.SUMMARY)
    folds = tables.read_table(run.file("folds.parquet"), tables.FOLDS)
    duplicates = tables.read_table(run.file("duplicates.parquet"), tables.DUPLICATES)
    clips = tables.read_table(run.file("clips.parquet"), tables.CLIPS)
    device = next((e["device"] for e in reversed(events) if e["event"] == "device"), "unknown")
    return ReportContent(
        title=study.name,
        run_id=run.run_id,
        study_yaml=run.study_file.read_text(),
        environment=read_json(run.file("environment.json")) | {"device": device},
        predictions=predictions,
        kfold_results=tables.read_table(run.file("kfold_results.feather"), tables.KFOLD_RESULTS),
        summary=summary,
        evaluation=_evaluation(run),
        others=_others(run, study),
        folds=folds,
        rejected=tables.read_table(run.file("rejected.parquet"), tables.REJECTED),
        duplicates=duplicates,
        look_alikes=look_alikes(duplicates, clips, reader),
        curves=_curves(run),
        memory=memory_table(lines),
        stages=unit_table(events),
        plans=plan_table(events, lines),
        search=tables.read_table(run.file("search.parquet"), tables.SEARCH),
        shrunk=shrunk_models(given_up_by(run), events),
        decisions=decisions(events),
        classes=classes,
        mistakes=_mistakes(_best_model(summary), predictions, folds, clips, classes, reader),
        contact_sheet=_sheets(folds, clips, classes, reader),
        elapsed_seconds=worked_seconds(events),
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


def _curves(run: Run) -> pl.DataFrame:
    from reelfit.report.content import CURVES

    lines = read_json_lines(run.file("metrics.jsonl"))
    return pl.DataFrame([{name: line[name] for name in CURVES} for line in lines], schema=CURVES)


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


def _sheets(
    folds: pl.DataFrame, clips: pl.DataFrame, classes: list[str], reader: "ShardReader"
) -> list["Sheet"]:
    """Some videos of each class: the original above its augmented copies."""
    from reelfit.report import Sheet, Strip

    shown = (
        folds.join(clips, on="video_id", how="semi")
        .sort("target", "video_id")
        .group_by("target", maintain_order=True)
        .head(SHEETS_PER_CLASS)
        .head(SHEETS)
    )
    sheets = []
    for video in shown.iter_rows(named=True):
        of_video = clips.filter(pl.col("video_id") == video["video_id"]).sort("copy")
        rows = [
            Strip(
                _caption(clip["copy"], json.loads(clip["augmentation"])),
                reader.read(clip["shard"], offset=clip["offset"], num_bytes=clip["bytes"]),
            )
            for clip in of_video.iter_rows(named=True)
        ]
        sheets.append(Sheet(video["video_id"], video["path"], classes[video["target"]], rows))
    return sheets


def _caption(copy: int, drawn: dict[str, Any]) -> str:
    if copy == 0:
        return "original"
    return f"copy {copy}: {', '.join(drawn).replace('_', ' ') or 'nothing was drawn'}"

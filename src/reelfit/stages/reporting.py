"""What the report tells of any run, read from its folder."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.files import read_json, read_json_lines
from reelfit.runs import Run
from reelfit.stages.look_alikes import look_alikes
from reelfit.stages.plans import given_up_by
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.data.shards import ShardReader
    from reelfit.report import Sheet

SHEETS = 6


def shared_content(
    run: Run,
    study: Study,
    reader: "ShardReader",
    *,
    shown: pl.DataFrame,
    named: Callable[[dict[str, Any]], str],
) -> dict[str, Any]:
    """The fields of ``RunContent``; ``shown`` are the rows of folds on the contact sheet.

    ``named`` says what a video of these rows is of.
    """
    from reelfit.data import tables
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
    duplicates = tables.read_table(run.file("duplicates.parquet"), tables.DUPLICATES)
    clips = tables.read_table(run.file("clips.parquet"), tables.CLIPS)
    device = next((e["device"] for e in reversed(events) if e["event"] == "device"), "unknown")
    return {
        "title": study.name,
        "run_id": run.run_id,
        "study_yaml": run.study_file.read_text(),
        "environment": read_json(run.file("environment.json")) | {"device": device},
        "folds": tables.read_table(run.file("folds.parquet"), tables.FOLDS),
        "rejected": tables.read_table(run.file("rejected.parquet"), tables.REJECTED),
        "duplicates": duplicates,
        "search": tables.read_table(run.file("search.parquet"), tables.SEARCH),
        "look_alikes": look_alikes(duplicates, clips, reader),
        "curves": _curves(run),
        "memory": memory_table(lines),
        "stages": unit_table(events),
        "plans": plan_table(events, lines),
        "shrunk": shrunk_models(given_up_by(run), events),
        "decisions": decisions(events),
        "contact_sheet": _sheets(shown.head(SHEETS), clips, reader, named),
        "elapsed_seconds": worked_seconds(events),
    }


def _curves(run: Run) -> pl.DataFrame:
    from reelfit.report.content import CURVES

    lines = read_json_lines(run.file("metrics.jsonl"))
    return pl.DataFrame([{name: line[name] for name in CURVES} for line in lines], schema=CURVES)


def _sheets(
    shown: pl.DataFrame,
    clips: pl.DataFrame,
    reader: "ShardReader",
    named: Callable[[dict[str, Any]], str],
) -> list["Sheet"]:
    """The original of each video above its augmented copies."""
    from reelfit.report import Sheet, Strip

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
        sheets.append(Sheet(video["video_id"], video["path"], named(video), rows))
    return sheets


def _caption(copy: int, drawn: dict[str, Any]) -> str:
    if copy == 0:
        return "original"
    return f"copy {copy}: {', '.join(drawn).replace('_', ' ') or 'nothing was drawn'}"

"""What the report tells of a run that retrieves."""

from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.files import read_json
from reelfit.runs import Run
from reelfit.stages.fold import RESULT
from reelfit.stages.reporting import SHEETS, shared_content
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.data.shards import ShardReader
    from reelfit.report.content import Frames
    from reelfit.report.retrieval import FramesOf, RetrievalContent

SAMPLED_BY = "bleu_4"
"""Captions are shown from the best to the worst by it."""


def retrieval_content(run: Run, study: Study, reader: "ShardReader") -> "RetrievalContent":
    """All of it. Memory: the tables, and the clips that are shown."""
    from reelfit.data import retrieval_tables as schemas
    from reelfit.data.tables import CLIPS, FOLDS, TEXTS, read_table
    from reelfit.report.retrieval import RetrievalContent, best_and_worst, caption_samples
    from reelfit.stages.split import TEXTS_FILE

    found = {
        name: read_table(run.file(f"{name}.parquet"), getattr(schemas, name.upper()))
        for name in ("retrieval_summary", "retrieval_folds", "retrieval_queries", "retrieval_top")
    }
    folds = read_table(run.file("folds.parquet"), FOLDS)
    clips = read_table(run.file("clips.parquet"), CLIPS).filter(pl.col("copy") == 0)
    texts = read_table(run.file(TEXTS_FILE), TEXTS)
    frames_of = _frames_of(folds.join(clips, on="video_id", maintain_order="left"), reader)
    model = _best_model(found["retrieval_summary"])
    best, worst = best_and_worst(
        model,
        queries=found["retrieval_queries"],
        top=found["retrieval_top"],
        texts=texts.select("item", "text"),
        frames_of=frames_of,
    )
    captions = summary = None
    samples = []
    if study.retrieve.caption is not None:
        captions = read_table(run.file("captions.parquet"), schemas.CAPTIONS)
        summary = read_table(run.file("caption_summary.parquet"), schemas.CAPTION_SUMMARY)
        samples = caption_samples(model, captions=captions, metric=SAMPLED_BY, frames_of=frames_of)
    first_text = dict(texts.unique("target", keep="first").select("target", "text").iter_rows())
    shown = folds.join(clips, on="video_id", how="semi").sort("target", "video_id")
    return RetrievalContent(
        **shared_content(
            run,
            study,
            reader,
            shown=shown.unique("target", keep="first", maintain_order=True).head(SHEETS),
            named=lambda video: first_text[video["target"]],
        ),
        summary=found["retrieval_summary"],
        results=found["retrieval_folds"],
        queries=found["retrieval_queries"],
        captions=captions,
        caption_summary=summary,
        kept=_kept(run, study),
        best=best,
        worst=worst,
        samples=samples,
    )


def _best_model(summary: pl.DataFrame) -> str:
    """The model of the highest mean R@1 over both directions; the first of equals."""
    first = summary.filter(pl.col("metric") == "recall@1")
    means = first.group_by("model", maintain_order=True).agg(pl.col("value").mean())
    return str(means.sort("value", descending=True, nulls_last=True, maintain_order=True)[0, 0])


def _frames_of(videos: pl.DataFrame, reader: "ShardReader") -> "FramesOf":
    rows = videos.select("label", "path", "shard", "offset", "bytes")

    def frames_of(item: str) -> list[tuple[str, "Frames"]]:
        return [
            (path, reader.read(shard, offset=offset, num_bytes=num_bytes))
            for path, shard, offset, num_bytes in rows.filter(pl.col("label") == item)
            .drop("label")
            .iter_rows()
        ]

    return frames_of


def _kept(run: Run, study: Study) -> pl.DataFrame:
    """The epoch whose weights each fold of each model kept."""
    from reelfit.report.retrieval import KEPT

    rows: list[dict[str, Any]] = [
        {
            "model": choice.id,
            "fold": fold,
            "epoch": read_json(run.fold(choice.id, fold) / RESULT)["best_epoch"],
        }
        for choice in study.models
        for fold in run.folds()
    ]
    return pl.DataFrame(rows, schema=KEPT)

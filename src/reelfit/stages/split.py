"""Which videos validate which fold, with no group, no copy and no look-alike on two sides.

Reads ``index.parquet``, ``clips.parquet``, ``fingerprints.parquet``, the user's table -> writes
``duplicates.parquet``, ``folds.parquet``; of the task retrieve ``texts.parquet``.
Runs again when the index, the clips, the fold settings or the seed change. Peak memory: the index,
the texts, the pairs of videos that look alike.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.explicit_split import require_sides, require_together
from reelfit.data.folds import assign_folds, assign_groups, join_groups, require_loose_groups
from reelfit.data.listing import Listing
from reelfit.runs import Run
from reelfit.stages.duplicates import of_one_content, that_look_alike
from reelfit.stages.leakage import require_no_leak
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters

TEXTS_FILE = "texts.parquet"
"""The texts of the items, for the task retrieve."""


@final
class Split(Stage):
    """Folds by group, those of classes stratified; videos of the same content are one video."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("index", "clips")
    writes: ClassVar[tuple[str, ...]] = ("duplicates.parquet", "folds.parquet")

    def settings(self, study: Study) -> Any:
        """The fold count or column, what counts as looking alike, and the seed."""
        return [study.task, what_matters(study.folds), study.seed]

    def inputs(self, listing: Listing) -> Any:
        """The user's rows with their texts and splits."""
        return listing.digest

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: the whole table is looked at at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """One row per distinct video, in the order of video_id: the user's order plays no part."""
        from reelfit.data.tables import (
            CLIPS,
            DUPLICATES,
            FOLDS,
            INDEX,
            TEXTS,
            read_table,
            write_table,
        )

        clips = read_table(run.file("clips.parquet"), CLIPS)
        index = (
            read_table(run.file("index.parquet"), INDEX)
            .join(clips, on="video_id", how="semi")
            .sort("video_id", "path")
        )
        alike = that_look_alike(run, index, study.folds.near_duplicates)
        duplicates = pl.concat([of_one_content(index), alike]).select(*DUPLICATES.columns)
        write_table(duplicates, run.file("duplicates.parquet"), DUPLICATES)
        ids, given = index["video_id"].to_list(), index["group"].to_list()
        tied = list(alike.select("video_id", "other_id").iter_rows())
        videos = index.with_columns(
            before=pl.Series(join_groups(ids, given)),
            group=pl.Series(join_groups(ids, given, alike=tied)),
        ).unique("video_id", keep="first", maintain_order=True)
        table, texts = _targets(videos, index, listing)
        folds = _folds(table, alike, listing, study)
        table = table.with_columns(fold=pl.Series(folds, dtype=pl.Int32))
        joined = table["before"].n_unique() - table["group"].n_unique()
        table = table.select(*FOLDS.columns)
        if study.task == "retrieve":
            write_table(texts, run.file(TEXTS_FILE), TEXTS)
        write_table(table, run.file("folds.parquet"), FOLDS)
        require_no_leak(run)
        by = ("fold", "label") if listing.classes else ("fold",)
        context.event(
            "split",
            duplicates=index.height - videos.height,
            balance=table.group_by(*by).len().sort(*by).rows(),
            look_alikes=alike.height,
            joined=joined,
            largest=table.group_by("group").len()["len"].max(),
            videos=table.height,
        )


def _targets(
    videos: pl.DataFrame, index: pl.DataFrame, listing: Listing
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``videos`` with their numbers of classes, or of items with the texts that are right.

    Where two names of one content are items of their own, it is one, with the texts of both.
    """
    if listing.classes:
        numbers = pl.DataFrame({"label": listing.classes}).with_row_index("target")
        return _numbered(videos, numbers), pl.DataFrame()
    kept = index.select("video_id", item="label").join(
        videos.select("video_id", "label"), on="video_id"
    )
    names = kept.select("item", "label").unique(maintain_order=True)
    texts = listing.texts.join(names, on="item", maintain_order="left")
    numbers = texts.select("label").unique(maintain_order=True).with_row_index("target")
    texts = texts.join(numbers, on="label", maintain_order="left")
    by_text = texts.select("text").unique(maintain_order=True).with_row_index("text_id")
    texts = texts.join(by_text, on="text", maintain_order="left").select(
        pl.col("label").alias("item"), pl.col("target", "text_id").cast(pl.Int32), "text"
    )
    return _numbered(videos, numbers), texts.unique(maintain_order=True)


def _numbered(videos: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    return videos.join(numbers, on="label", how="left", maintain_order="left").with_columns(
        pl.col("target").cast(pl.Int32)
    )


def _folds(videos: pl.DataFrame, alike: pl.DataFrame, listing: Listing, study: Study) -> list[int]:
    """The fold of each video: what the user's table says, or one by its group.

    Raises:
        StudyError: these videos make no such folds.
    """
    if listing.folds.width:
        sides = videos.select("path", "label").join(
            listing.folds, on="path", how="left", maintain_order="left"
        )
        require_together(sides, alike)
        judged, where = listing.judged_folds(None), str(study.videos.table)
        require_sides(sides, folds=judged, classes=listing.classes, where=where)
        folds: list[int] = sides["fold"].to_list()
        return folds
    count, classes = len(listing.judged_folds(study.folds.count)), listing.classes
    labels, before, groups = (videos[name].to_list() for name in ("label", "before", "group"))
    require_loose_groups(labels, before, groups, count=count, classes=classes)
    if not classes:
        return assign_groups(groups, count=count, seed=study.seed)
    targets = videos["target"].to_list()
    return assign_folds(targets, groups, count=count, seed=study.seed, classes=classes)

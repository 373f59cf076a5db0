"""Which videos validate which fold, with no group, no copy and no look-alike on two sides.

Reads ``index.parquet``, ``clips.parquet``, ``fingerprints.parquet`` -> writes
``duplicates.parquet``, ``folds.parquet``.
Runs again when the index, the clips, the fold settings or the seed change. Peak memory: the index,
the pairs of videos that look alike.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.duplicates import as_fingerprints, near_pairs
from reelfit.data.folds import assign_folds, join_groups, require_loose_groups
from reelfit.data.listing import Listing
from reelfit.runs import Run
from reelfit.stages.leakage import require_no_leak
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters


@final
class Split(Stage):
    """Stratified folds by group; videos of the same content are one video."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("index", "clips")
    writes: ClassVar[tuple[str, ...]] = ("duplicates.parquet", "folds.parquet")

    def settings(self, study: Study) -> Any:
        """The fold count, what counts as looking alike, and the seed."""
        return [what_matters(study.folds), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: the whole table is looked at at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """One row per distinct video, in the order of video_id: the user's order plays no part."""
        from reelfit.data.tables import CLIPS, DUPLICATES, FOLDS, INDEX, read_table, write_table

        clips = read_table(run.file("clips.parquet"), CLIPS)
        index = (
            read_table(run.file("index.parquet"), INDEX)
            .join(clips, on="video_id", how="semi")
            .sort("video_id", "path")
        )
        alike = _that_look_alike(run, index, study.folds.near_duplicates)
        duplicates = pl.concat([_of_one_content(index), alike]).select(*DUPLICATES.columns)
        write_table(duplicates, run.file("duplicates.parquet"), DUPLICATES)
        ids, given = index["video_id"].to_list(), index["group"].to_list()
        tied = list(alike.select("video_id", "other_id").iter_rows())
        videos = index.with_columns(
            before=pl.Series(join_groups(ids, given)),
            group=pl.Series(join_groups(ids, given, alike=tied)),
        ).unique("video_id", keep="first", maintain_order=True)
        count, classes = study.folds.count, listing.classes
        labels, before, groups = (videos[name].to_list() for name in ("label", "before", "group"))
        require_loose_groups(labels, before, groups, count=count, classes=classes)
        targets = [classes.index(label) for label in labels]
        folds = assign_folds(targets, groups, count=count, seed=study.seed, classes=classes)
        table = videos.with_columns(
            target=pl.Series(targets, dtype=pl.Int32), fold=pl.Series(folds, dtype=pl.Int32)
        ).select(*FOLDS.columns)
        write_table(table, run.file("folds.parquet"), FOLDS)
        require_no_leak(run)
        context.event(
            "split",
            duplicates=index.height - videos.height,
            balance=table.group_by("fold", "label").len().sort("fold", "label").rows(),
            look_alikes=alike.height,
            joined=len(set(before)) - len(set(groups)),
            largest=table.group_by("group").len()["len"].max(),
            videos=table.height,
        )


def _of_one_content(index: pl.DataFrame) -> pl.DataFrame:
    """The first row of each video with each of its others."""
    first = index.unique("video_id", keep="first", maintain_order=True)
    others = index.join(first, on="path", how="anti", maintain_order="left")
    pairs = _named(first).join(
        _named(others, "other_").with_columns(video_id=pl.col("other_id")), on="video_id"
    )
    kind, none = pl.lit("content").alias("kind"), pl.lit(0, pl.Int32).alias("distance")
    return pairs.sort("path", "other_path").with_columns(kind, none).select(_COLUMNS)


def _that_look_alike(run: Run, index: pl.DataFrame, most_bits: int | None) -> pl.DataFrame:
    """The pairs of videos whose frames look alike, the nearest first."""
    from reelfit.data.tables import FINGERPRINTS, read_table

    told = read_table(run.file("fingerprints.parquet"), FINGERPRINTS)
    videos = index.unique("video_id", keep="first", maintain_order=True).join(
        told, on="video_id", maintain_order="left"
    )
    pairs = []
    if most_bits is not None:
        pairs = near_pairs(as_fingerprints(videos["fingerprint"].to_list()), most_bits=most_bits)
    first, second, distances = zip(*pairs, strict=True) if pairs else ((), (), ())
    return (
        pl.concat(
            [_named(videos)[list(first)], _named(videos, "other_")[list(second)]], how="horizontal"
        )
        .with_columns(pl.lit("look").alias("kind"), distance=pl.Series(distances, dtype=pl.Int32))
        .sort("distance", "path", "other_path")
        .select(_COLUMNS)
    )


def _named(index: pl.DataFrame, prefix: str = "") -> pl.DataFrame:
    """Of each row what a pair says of a video, under the names that the second one has there."""
    identity = pl.col("video_id").alias("other_id" if prefix else "video_id")
    return index.select(identity, pl.col("path", "label", "group").name.prefix(prefix))


_COLUMNS = [
    *("kind", "distance", "video_id", "path", "label", "group"),
    *("other_id", "other_path", "other_label", "other_group"),
]

"""Which videos validate which fold, with no group, no copy and no look-alike on two sides.

Reads ``index.parquet``, ``clips.parquet``, ``fingerprints.parquet`` -> writes
``duplicates.parquet``, ``folds.parquet``.
Runs again when the index, the clips, the fold settings or the seed change. Peak memory: the index,
the pairs of videos that look alike.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.folds import assign_folds, join_groups, require_loose_groups
from reelfit.data.listing import Listing
from reelfit.runs import Run
from reelfit.stages.duplicates import of_one_content, that_look_alike
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
        alike = that_look_alike(run, index, study.folds.near_duplicates)
        duplicates = pl.concat([of_one_content(index), alike]).select(*DUPLICATES.columns)
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

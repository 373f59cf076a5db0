"""Which videos validate which fold, with no group on two sides.

Reads ``index.parquet`` -> writes ``folds.parquet``.
Runs again when the index, the fold count or the seed changes. Peak memory: the index.
"""

from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.folds import assign_folds, contradictions, join_groups
from reelfit.data.listing import Listing
from reelfit.errors import StudyError
from reelfit.runs import Run
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters


@final
class Split(Stage):
    """Stratified folds by group; videos of the same content are one video."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("index",)
    writes: ClassVar[tuple[str, ...]] = ("folds.parquet",)

    def settings(self, study: Study) -> Any:
        """The fold count and the seed."""
        return [what_matters(study.folds), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: the whole table is looked at at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """One row per distinct video, in the order of video_id: the user's order plays no part."""
        from reelfit.data.tables import FOLDS, INDEX, read_table, write_table

        index = read_table(run.file("index.parquet"), INDEX)
        torn = contradictions(index)
        if not torn.is_empty():
            named = "; ".join(
                f"{', '.join(row['paths'])} ({' and '.join(row['labels'])})"
                for row in torn.head(10).iter_rows(named=True)
            )
            raise StudyError(
                f"{torn.height} videos have the same content and different labels: {named}"
            )
        groups = join_groups(index["video_id"].to_list(), index["group"].to_list())
        classes = listing.classes
        videos = (
            index.with_columns(
                group=pl.Series(groups),
                target=pl.col("label").replace_strict(
                    classes, range(len(classes)), return_dtype=pl.Int32
                ),
            )
            .sort("video_id", "path")
            .unique("video_id", keep="first", maintain_order=True)
        )
        folds = assign_folds(
            videos["target"].to_list(),
            videos["group"].to_list(),
            count=study.folds.count,
            seed=study.seed,
            classes=classes,
        )
        table = videos.with_columns(fold=pl.Series(folds, dtype=pl.Int32)).select(*FOLDS.columns)
        write_table(table, run.file("folds.parquet"), FOLDS)
        balance = table.group_by("fold", "label").len().sort("fold", "label")
        context.event("split", duplicates=index.height - videos.height, balance=balance.rows())

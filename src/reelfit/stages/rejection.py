"""Videos that a stage could not use: rows with a reason, and what is left without them."""

import polars as pl

from reelfit.data.listing import Listing
from reelfit.errors import StudyError
from reelfit.runs import Run


def write_rejected(run: Run, listing: Listing, stage: str, failed: pl.DataFrame) -> pl.DataFrame:
    """``rejected.parquet`` with the videos ``failed`` of ``stage``, in place of those it had.

    ``failed`` has path, reason and detail. Gives the whole table.
    """
    from reelfit.data.tables import REJECTED, read_table, write_table

    before = read_table(run.file("rejected.parquet"), REJECTED)
    new = failed.join(listing.rows.select("path", "row"), on="path").select(
        "path", "row", pl.lit(stage).alias("stage"), "reason", "detail"
    )
    rejected = pl.concat([before.filter(pl.col("stage") != stage), new]).sort("row")
    write_table(rejected, run.file("rejected.parquet"), REJECTED)
    return rejected


def require_classes(
    run: Run, listing: Listing, *, kept: pl.DataFrame, rejected: pl.DataFrame
) -> None:
    """Looks whether every class has a video among the ``video_id`` of ``kept``.

    Raises:
        StudyError: one has none; there is nothing to tell it from the others by.
    """
    index = pl.read_parquet(run.file("index.parquet")).join(kept, on="video_id", how="semi")
    for name in listing.classes:
        if index.filter(pl.col("label") == name).is_empty():
            raise StudyError(
                f"no video of the class {name} could be decoded; {rejected.height} were rejected: "
                f"see {run.file('rejected.parquet')}"
            )

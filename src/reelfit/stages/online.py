"""Copies that are made when clips are read, where the store has originals alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.data.batches import Change


def are_made_when_read(study: Study) -> bool:
    """Whether training sees copies that no store has."""
    return study.clips.store == "originals" and study.clips.copies > 0


def with_copies(rows: pl.DataFrame, study: Study) -> pl.DataFrame:
    """``rows``, each once for each number of copy where copies are made when they are read."""
    if not are_made_when_read(study):
        return rows
    numbers = pl.DataFrame({"copy": range(study.clips.copies + 1)}, schema={"copy": pl.Int32})
    return rows.drop("copy").join(numbers, how="cross", maintain_order="left_right")


def in_epochs(rows: pl.DataFrame, study: Study) -> "Callable[[int], Change] | None":
    """What is done to the clips of ``rows`` in an epoch, by its number; None where nothing is."""
    from reelfit.augment import check_strengths
    from reelfit.augment.online import OnlineAugmentation

    if not are_made_when_read(study):
        return None
    return OnlineAugmentation(
        strengths=check_strengths(study.clips.augment),
        seed=study.seed,
        copies=study.clips.copies,
        video_ids=rows["video_id"].to_list(),
        numbers=rows["copy"].to_numpy(),
    ).in_epoch

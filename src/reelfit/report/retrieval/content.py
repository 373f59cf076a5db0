"""What the report tells of a run that retrieves: values and tables, read by the caller."""

from dataclasses import dataclass
from typing import Final, NamedTuple, final

import polars as pl

from reelfit.report.content import Frames, RunContent

KEPT: Final = {"model": pl.String, "fold": pl.Int32, "epoch": pl.Int32}
"""Columns of ``RetrievalContent.kept``: the epoch whose weights each fold of a model kept."""


class ItemVideo(NamedTuple):
    """One video of an item, with the frames that the models saw."""

    path: str
    frames: Frames


class Answer(NamedTuple):
    """A text that a model ranked for an item, with its cosine."""

    text: str
    score: float
    right: bool


class Retrieval(NamedTuple):
    """An item as a query for texts: what it looks like, what is right, what a model answered."""

    model: str
    item: str
    videos: list[ItemVideo]
    texts: list[str]
    """Those that are right."""
    rank: float
    """Of the best-ranked right one."""
    num_answers: int
    """Among how many texts."""
    answers: list[Answer]
    """The highest-ranked ones, best first."""


class CaptionSample(NamedTuple):
    """What a model wrote of an item, beside its frames and the texts that are right."""

    model: str
    item: str
    videos: list[ItemVideo]
    references: list[str]
    generated: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class RetrievalContent(RunContent):
    """All that the report tells of a run that retrieves.

    ``summary``, ``results``, ``queries``, ``captions`` and ``caption_summary`` are
    RETRIEVAL_SUMMARY, RETRIEVAL_FOLDS, RETRIEVAL_QUERIES, CAPTIONS and CAPTION_SUMMARY of
    ``data/retrieval_tables.py``, the last two None without captions; ``kept`` has the columns of
    KEPT. The validation curves have ``loss`` and ``<direction>_recall@1``.
    """

    summary: pl.DataFrame
    results: pl.DataFrame
    queries: pl.DataFrame
    captions: pl.DataFrame | None = None
    caption_summary: pl.DataFrame | None = None
    kept: pl.DataFrame
    best: list[Retrieval]
    worst: list[Retrieval]
    samples: list[CaptionSample]

"""The report of a run that retrieves: its content, and its part of the page and of the text."""

from reelfit.report.retrieval.body import retrieval_body, retrieval_words
from reelfit.report.retrieval.content import (
    KEPT,
    Answer,
    CaptionSample,
    ItemVideo,
    Retrieval,
    RetrievalContent,
)
from reelfit.report.retrieval.shown import FramesOf, best_and_worst, caption_samples

__all__ = [
    "KEPT",
    "Answer",
    "CaptionSample",
    "FramesOf",
    "ItemVideo",
    "Retrieval",
    "RetrievalContent",
    "best_and_worst",
    "caption_samples",
    "retrieval_body",
    "retrieval_words",
]

"""Reelfit trains video models inside the memory you have.

For programs of one's own: ``decode`` and ``probe`` for exact frames of a video, ``ExactStep`` and
``StepOutcome`` for a training loop, ``retrieval_metrics`` for exact ranks of videos and texts. They
import torch (``probe`` does not); the rest of the package does so only where it trains.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelfit.metrics.retrieval import RetrievalMetrics, retrieval_metrics
    from reelfit.training.step import ExactStep, StepOutcome
    from reelfit.video.decode import decode
    from reelfit.video.probe import VideoFacts, probe

__version__ = "0.1.0"
__all__ = [
    "ExactStep",
    "RetrievalMetrics",
    "StepOutcome",
    "VideoFacts",
    "__version__",
    "decode",
    "probe",
    "retrieval_metrics",
]

_STANDS_IN = {
    "ExactStep": "reelfit.training.step",
    "RetrievalMetrics": "reelfit.metrics.retrieval",
    "StepOutcome": "reelfit.training.step",
    "VideoFacts": "reelfit.video.probe",
    "decode": "reelfit.video.decode",
    "probe": "reelfit.video.probe",
    "retrieval_metrics": "reelfit.metrics.retrieval",
}


def __getattr__(name: str) -> Any:
    if name in _STANDS_IN:
        return getattr(import_module(_STANDS_IN[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Reelfit trains video models inside the memory you have.

For a training loop of one's own: ``ExactStep``, ``StepOutcome``. They import torch; the rest of
the package does so only where it trains.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelfit.training.step import ExactStep, StepOutcome

__version__ = "0.1.0"
__all__ = ["ExactStep", "StepOutcome", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("ExactStep", "StepOutcome"):
        from reelfit.training import step

        return getattr(step, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

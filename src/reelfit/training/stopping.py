"""Whether held-out videos still gain by training."""

import math

from reelfit.metrics import higher_is_better
from reelfit.training.settings import EarlyStoppingSettings
from reelfit.training.state import Progress


def watch(progress: Progress, value: float | None, stopping: EarlyStoppingSettings) -> None:
    """Notes what an epoch measured: the best epoch, or one more without a gain, and the end.

    A value that is undefined, or no number, is no gain.
    """
    best = progress.best_value
    higher = higher_is_better(stopping.metric)
    measured = value if value is not None and not math.isnan(value) else None
    if measured is not None and (best is None or _beats(measured, best, higher)):
        progress.best_value, progress.best_epoch = value, progress.epoch
        progress.epochs_without_gain = 0
        return
    progress.epochs_without_gain += 1
    progress.stopped = progress.epochs_without_gain >= stopping.patience


def _beats(value: float, best: float, higher: bool) -> bool:
    return value > best if higher else value < best

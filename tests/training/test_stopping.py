"""Training stops when what is watched no longer gains, in the direction of its metric."""

import pytest

from reelfit.metrics import METRICS
from reelfit.training.settings import EarlyStoppingSettings
from reelfit.training.state import Progress
from reelfit.training.stopping import watch


def watched(values: list[float | None], metric: str = "loss", patience: int = 2) -> Progress:
    stopping = EarlyStoppingSettings(metric=metric, patience=patience)
    progress = Progress()
    for value in values:
        if progress.stopped:
            break
        progress.epoch += 1
        watch(progress, value, stopping)
    return progress


def test_it_stops_after_as_many_epochs_without_a_gain_as_it_has_patience() -> None:
    found = watched([3.0, 2.0, 2.5, 1.0, 1.0, 1.5, 0.1])
    assert (found.stopped, found.epoch, found.best_epoch, found.best_value) == (True, 6, 4, 1.0)
    assert watched([3.0, 2.0, 2.5, 1.0, 1.0, 1.5, 0.1], patience=3).best_value == 0.1


@pytest.mark.parametrize("metric", ["loss", *METRICS])
def test_each_metric_gains_in_its_own_direction(metric: str) -> None:
    rising = metric != "loss" and METRICS[metric].higher_is_better
    assert watched([0.2, 0.4, 0.6], metric).best_epoch == (3 if rising else 1)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_value_that_is_none_is_no_gain(nothing: float | None) -> None:
    found = watched([nothing, 2.0, nothing, nothing])
    assert (found.best_epoch, found.stopped) == (2, True)
    assert watched([nothing, nothing, 1.0]).best_epoch == 0

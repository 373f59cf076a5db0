"""Resamples are of whole groups, the same for every model, and as scikit-learn would have them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reelfit.metrics import METRICS
from reelfit.metrics.resampling import BLOCK, draw_groups, middle, number_groups, resampled

GROUPS = number_groups(f"source {number // 3}" for number in range(90))


def made() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    targets = generator.integers(0, 2, len(GROUPS)).astype(np.int64)
    positive = np.clip(generator.normal(0.4 + 0.2 * targets, 0.2), 0, 1).round(2)
    return targets, np.stack([1 - positive, positive], 1)


def test_each_resample_is_what_scikit_learn_says_of_its_copied_rows() -> None:
    targets, probabilities = made()
    counts = np.concatenate(list(draw_groups(30, resamples=70, seed=3)))
    draws = draw_groups(30, resamples=70, seed=3)
    found = resampled(METRICS, targets, probabilities, GROUPS, draws)["roc_auc"]
    assert len(found) == 70
    for value, drawn in zip(found, counts.astype(int), strict=True):
        rows = np.repeat(np.arange(len(GROUPS)), drawn[GROUPS])
        assert value == pytest.approx(roc_auc_score(targets[rows], probabilities[rows, 1]))


def test_as_many_groups_are_drawn_as_there_are_and_each_equally_often() -> None:
    counts = np.concatenate(list(draw_groups(30, resamples=1000, seed=0)))
    assert (counts.sum(1) == 30).all()
    assert counts.mean(0) == pytest.approx(np.ones(30), abs=0.15)
    assert counts.var() == pytest.approx(1.0, abs=0.1)  # of a Poisson-like count
    assert len(np.unique(counts, axis=0)) == 1000


def test_more_resamples_begin_with_the_same_ones() -> None:
    few = np.concatenate(list(draw_groups(9, resamples=2 * BLOCK, seed=5)))
    many = np.concatenate(list(draw_groups(9, resamples=3 * BLOCK, seed=5)))
    assert np.array_equal(many[: 2 * BLOCK], few)


def test_resamples_that_leave_a_metric_undefined_do_not_count() -> None:
    assert middle(np.array([np.nan, 1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert middle(np.array([np.nan])) == (None, None)


def test_the_progress_is_told_to_the_last_resample() -> None:
    told: list[int] = []
    draws = draw_groups(30, resamples=2 * BLOCK, seed=0)
    resampled({}, *made(), GROUPS, draws, on_progress=told.append)
    assert told == [BLOCK, 2 * BLOCK]

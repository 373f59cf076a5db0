"""Resamples are of whole groups, the same for every model, and as scikit-learn would have them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reelfit.data.seeds import generator_for
from reelfit.metrics import METRICS
from reelfit.metrics.resampling import draw_groups, middle, number_groups, resampled, weigh


def made(size: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    targets = generator.integers(0, 2, size).astype(np.int64)
    positive = np.clip(generator.normal(0.4 + 0.2 * targets, 0.2), 0, 1).round(2)
    groups = number_groups(f"source {number // 3}" for number in range(size))
    return targets, np.stack([1 - positive, positive], 1), groups


def test_each_resample_is_what_scikit_learn_says_of_its_copied_rows() -> None:
    targets, probabilities, groups = made()
    counts = draw_groups(30, resamples=50, seed=3)
    found = resampled(METRICS, targets, probabilities, groups, counts)["roc_auc"]
    members = [np.flatnonzero(groups == group) for group in range(30)]
    for number, value in enumerate(found):
        drawn = generator_for(3, "bootstrap", number).integers(30, size=30)
        rows = np.concatenate([members[group] for group in drawn])
        assert value == pytest.approx(roc_auc_score(targets[rows], probabilities[rows, 1]))


def test_a_group_is_drawn_whole_and_as_many_are_drawn_as_there_are() -> None:
    _, _, groups = made()
    counts = draw_groups(30, resamples=20, seed=0)
    assert (counts.sum(1) == 30).all()
    for weights in weigh(counts, groups):
        assert (weights.reshape(len(weights), 30, 3).std(axis=2) == 0).all()


def test_resamples_that_leave_a_metric_undefined_do_not_count() -> None:
    assert middle(np.array([np.nan, 1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert middle(np.array([np.nan])) == (None, None)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, probabilities, groups = made()
    counts = draw_groups(30, resamples=40, seed=0)
    at_once = resampled(METRICS, targets, probabilities, groups, counts)
    monkeypatch.setattr("reelfit.metrics.resampling._CHUNK_NUMBERS", 1)
    one_by_one = resampled(METRICS, targets, probabilities, groups, counts)
    for name, values in at_once.items():
        assert one_by_one[name] == pytest.approx(values, nan_ok=True), name


def test_the_progress_is_told_to_the_last_resample() -> None:
    targets, probabilities, groups = made()
    told: list[int] = []
    counts = draw_groups(30, resamples=40, seed=0)
    resampled({}, targets, probabilities, groups, counts, on_progress=told.append)
    assert told[-1] == 40

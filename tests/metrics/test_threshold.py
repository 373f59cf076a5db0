"""A threshold is the best of all that there are."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_curve

from reelfit.metrics.threshold import choose_threshold


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 60), st.sampled_from([3, 20, 10_000]))
def test_no_threshold_has_a_better_balanced_accuracy(seed: int, size: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 2, size).astype(np.int64)
    assume(0 < targets.sum() < size)
    scores = generator.integers(0, steps + 1, size) / steps
    found = choose_threshold(targets, scores)
    alarms, hits, _ = roc_curve(targets, scores)
    best = float(np.max(1 + hits - alarms)) / 2
    reached = balanced_accuracy_score(targets, scores >= found)
    assert reached == pytest.approx(best) or scores.max() == 1.0


def test_it_lies_between_the_classes_that_it_parts() -> None:
    assert choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.9])) == (
        pytest.approx(0.3)
    )


def test_of_equally_good_ones_the_nearest_to_a_half_is_taken() -> None:
    targets = np.array([0, 1, 0, 1])
    assert choose_threshold(targets, np.array([0.1, 0.2, 0.5, 0.7])) == pytest.approx(0.6)


def test_one_class_alone_chooses_nothing() -> None:
    assert choose_threshold(np.ones(3, np.int64), np.array([0.1, 0.2, 0.3])) == 0.5

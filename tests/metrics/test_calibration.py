"""Calibration errors beside formulas that share nothing with ours."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from reelfit.metrics import measure
from reelfit.metrics.calibration import BINS


def two_columns(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], axis=1)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 80), st.sampled_from([10, 15, 10_000]))
def test_equal_widths_are_the_bins_of_scikit_learns_calibration_curve(
    seed: int, size: int, steps: int
) -> None:
    generator = np.random.default_rng(seed)
    said = generator.integers(0, steps + 1, size) / steps  # many on an edge of a bin
    so = generator.integers(0, 2, size).astype(np.int64)
    shares, means = calibration_curve(so, said, n_bins=BINS, strategy="uniform")
    edges = np.linspace(0, 1, BINS + 1)
    amounts = [
        ((said > low) & (said <= high)).sum() + (low == 0) * (said == 0).sum()
        for low, high in pairwise(edges)
    ]
    amounts = np.array([amount for amount in amounts if amount])
    wanted = float(np.sum(amounts / size * np.abs(shares - means)))
    found = measure(so, two_columns(said))["expected_calibration_error"]
    assert found == pytest.approx(wanted, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_equal_masses_are_slices_of_the_sorted_samples(seed: int, each: int) -> None:
    generator = np.random.default_rng(seed)
    said = generator.permutation(np.linspace(0.01, 0.99, BINS * each))
    so = generator.integers(0, 2, len(said)).astype(np.int64)
    slices = np.array_split(np.argsort(said), BINS)
    wanted = np.mean([abs(so[rows].mean() - said[rows].mean()) for rows in slices])
    found = measure(so, two_columns(said))["equal_mass_calibration_error"]
    assert found == pytest.approx(wanted, abs=1e-12)


def test_a_model_that_is_always_sure_and_half_right_is_off_by_a_half() -> None:
    so = np.array([0, 1] * 10)
    found = measure(so, two_columns(np.ones(20)))
    assert found["expected_calibration_error"] == found["equal_mass_calibration_error"] == 0.5


def test_of_more_classes_the_one_predicted_is_what_was_said() -> None:
    targets = np.array([0, 1, 2, 2])
    scores = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    wanted = (2 * abs(0.5 - 0.7) + 2 * abs(1 - 0.8)) / 4
    assert measure(targets, scores)["expected_calibration_error"] == pytest.approx(wanted)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32))
def test_the_order_of_the_samples_says_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    said = generator.integers(0, 5, 40) / 4
    so = generator.integers(0, 2, 40).astype(np.int64)
    order = generator.permutation(40)
    found, shuffled = measure(so, two_columns(said)), measure(so[order], two_columns(said[order]))
    for name, value in found.items():
        assert shuffled[name] == (None if value is None else pytest.approx(value)), name

"""Permuted labels keep what groups are, and p-values what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelfit.metrics.permutation import p_by_permutation, permute_labels


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_each_group_keeps_its_size_and_how_many_classes_it_has(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, count, 40).astype(np.int64)
    targets = np.where(groups % 2 == 0, groups % 3, generator.integers(0, 3, 40)).astype(np.int64)
    permuted = permute_labels(targets, groups, np.random.default_rng(seed))
    for group in np.unique(groups):
        before, after = targets[groups == group], permuted[groups == group]
        assert (len(set(before)) == 1) == (len(set(after)) == 1)
        if len(set(before)) > 1:
            assert sorted(before) == sorted(after)


def test_groups_of_one_class_swap_classes_as_wholes() -> None:
    groups = np.repeat(np.arange(20), 3)
    targets = np.repeat(np.arange(20) % 2, 3)
    permuted = permute_labels(targets, groups, np.random.default_rng(0))
    assert (permuted.reshape(20, 3).std(axis=1) == 0).all()
    assert not np.array_equal(permuted, targets)
    assert permuted.sum() == targets.sum()


def test_the_p_value_counts_the_real_labels_among_the_permuted() -> None:
    assert p_by_permutation(0.9, np.array([0.5, 0.6, 0.9])) == 0.5
    assert p_by_permutation(0.9, np.array([0.5, 0.6, np.nan])) == pytest.approx(1 / 3)


def area(targets: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean(scores[targets == 1][:, None] > scores[targets == 0]))


def test_where_labels_mean_nothing_p_values_are_spread_evenly() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 2)
    found = []
    for _ in range(120):
        targets = np.repeat(generator.permutation(np.arange(30) % 2), 2)
        scores = np.repeat(generator.normal(size=30), 2) + generator.normal(0, 0.1, 60)
        areas = [area(permute_labels(targets, groups, generator), scores) for _ in range(19)]
        found.append(p_by_permutation(area(targets, scores), np.array(areas)))
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)

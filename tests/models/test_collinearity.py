"""What a model on features leaves out, and by which rows it decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from reelfit.models.collinearity import (
    HIGHEST_INFLATION,
    Cut,
    find_cuts,
    variance_inflation,
)
from reelfit.models.handcrafted_logistic import HandcraftedLogistic


def rows(count=200, columns=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, columns))


def cuts_of(features):
    return find_cuts(features, max_correlation=0.95, max_inflation=10.0)


def test_independent_features_all_stay():
    assert cuts_of(rows() * 10.0 ** np.arange(-3, 3) + 5) == []


def test_a_planted_duplicate_is_cut_and_the_first_of_the_pair_stays():
    features = rows()
    doubled = np.column_stack([features, -3 * features[:, 2] + 7])
    (cut,) = cuts_of(doubled)
    assert (cut.column, cut.reason, cut.beside) == (6, "collinear", 2)
    assert cut.value == pytest.approx(-1, abs=1e-12)


@pytest.mark.parametrize(("noise", "is_cut"), [(0.25, True), (0.45, False)])
def test_a_pair_goes_from_a_correlation_of_95_percent_on(noise, is_cut):
    features = rows()
    near = features[:, 0] + noise * np.random.default_rng(1).normal(size=200)
    assert (abs(np.corrcoef(features[:, 0], near)[0, 1]) >= 0.95) == is_cut
    found = cuts_of(np.column_stack([features, near]))
    assert [cut.column for cut in found if cut.reason == "collinear"] == [6] * is_cut


def test_a_planted_linear_combination_is_cut_though_no_pair_is_collinear():
    features = rows()
    planted = np.column_stack([features, features @ np.array([1.0, 1, -1, 1, 0, 0])])
    assert abs(np.corrcoef(planted.T) - np.eye(7)).max() < 0.95
    (cut,) = cuts_of(planted)
    assert (cut.column, cut.reason, cut.beside) == (6, "inflated", None)  # of equals, the last
    assert cut.value == HIGHEST_INFLATION


def test_the_most_inflated_goes_first_until_none_is_above_ten():
    features = rows()
    generator = np.random.default_rng(1)
    loose = features[:, :3].sum(axis=1) + 0.4 * generator.normal(size=200)
    tight = features[:, 3:].sum(axis=1) + 0.1 * generator.normal(size=200)
    found = cuts_of(np.column_stack([features, loose, tight]))
    assert [cut.column for cut in found] == [7, 6]
    assert found[0].value > found[1].value > 10
    kept = np.delete(np.column_stack([features, loose, tight]), [6, 7], axis=1)
    assert variance_inflation(kept).max() <= 10


@pytest.mark.parametrize("value", [0.0, 1.0, -29.97, 8e6])
def test_a_constant_is_cut_and_nothing_is_divided_by_zero(value):
    features = rows()
    with np.errstate(all="raise"):
        found = cuts_of(np.insert(features, 2, value, axis=1))
        assert found == [Cut(2, "constant", None, None)]
        assert len(cuts_of(np.full((9, 4), value))) == 4
        assert len(cuts_of(np.full((1, 4), value))) == 4


def test_rounding_is_no_variation():
    features = rows()
    features[:, 1] = 0.1 * 3
    features[::2, 1] = 0.3  # 0.30000000000000004 and 0.3
    assert len(set(features[:, 1])) == 2
    assert cuts_of(features) == [Cut(1, "constant", None, None)]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_with_few_rows_fewer_columns_than_rows_stay(count, columns, seed):
    features = rows(count, columns, seed)
    found = cuts_of(features)
    kept = columns - len(found)
    assert kept <= max(0, count - 1)
    if count > 1:
        assert kept >= 1
    assert len({cut.column for cut in found}) == len(found)


def test_variance_inflation_is_its_definition_by_least_squares():
    features = rows(columns=8) @ np.random.default_rng(3).normal(size=(8, 8)) + 40
    expected = []
    for column in range(8):
        others = np.delete(features, column, axis=1)
        fitted = LinearRegression().fit(others, features[:, column])
        expected.append(1 / (1 - fitted.score(others, features[:, column])))
    assert max(expected) > 10
    np.testing.assert_allclose(variance_inflation(features), expected, rtol=1e-9)


def test_what_is_no_part_of_a_combination_is_not_inflated_by_it():
    features = rows()
    singular = np.column_stack([features, features[:, 0] + features[:, 1]])
    found = variance_inflation(singular)
    assert (found[[0, 1, 6]] == HIGHEST_INFLATION).all()
    np.testing.assert_allclose(found[2:6], variance_inflation(features)[2:], rtol=0.05)


def test_a_model_predicts_by_the_features_that_stay_alone():
    features, targets = rows(), (rows()[:, 0] > 0).astype(np.int64)
    planted = np.column_stack([features, features[:, 0], np.ones(200)])
    model = HandcraftedLogistic()
    weights = model.fit(planted, targets, num_classes=2, balanced=False, seed=0)
    found = model.cuts(weights)
    assert [(cut.column, cut.reason) for cut in found] == [(7, "constant"), (6, "collinear")]
    alone = model.fit(features, targets, num_classes=2, balanced=False, seed=0)
    assert model.cuts(alone) == []
    moved = planted.copy()
    moved[:, 6:] = 1e6
    np.testing.assert_allclose(
        model.probabilities(weights, moved), model.probabilities(alone, features), atol=1e-12
    )


def test_with_every_feature_cut_the_shares_of_the_classes_are_predicted():
    targets = np.array([0] * 30 + [1] * 10, dtype=np.int64)
    model = HandcraftedLogistic(inverse_penalty=1e6)
    weights = model.fit(np.ones((40, 3)), targets, num_classes=2, balanced=False, seed=0)
    found = model.probabilities(weights, np.full((2, 3), 5.0))
    np.testing.assert_allclose(found, [[0.75, 0.25]] * 2, atol=1e-3)

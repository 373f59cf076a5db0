"""Comparisons find what is there and, in the long run, nothing that is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from reelfit.metrics import METRICS
from reelfit.metrics.comparison import (
    LEVEL,
    Comparison,
    Judged,
    compare_all,
    compare_with,
    holm,
    p_by_folds,
    p_by_groups,
)
from reelfit.metrics.resampling import draw_groups, number_groups, resampled

NUM_GROUPS, NUM_FOLDS = 60, 5
COUNTS = list(draw_groups(NUM_GROUPS, resamples=200, seed=0))
GROUPS = number_groups(f"{number // 2:03d}" for number in range(2 * NUM_GROUPS))
TARGETS = np.arange(2 * NUM_GROUPS) % 2
STUDIES = 250
MARGIN = 3 * np.sqrt(LEVEL * (1 - LEVEL) / STUDIES)
AREA = {"roc_auc": METRICS["roc_auc"]}


def area(targets: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean(scores[targets == 1][:, None] > scores[targets == 0]))


def judged(name: str, generator: np.random.Generator, shared: np.ndarray, skill: float) -> Judged:
    """A model whose mistakes are half those of all models, alike within a group."""
    own = generator.normal(0, 1, NUM_GROUPS)[GROUPS] + generator.normal(0, 1, len(GROUPS))
    score = 1 / (1 + np.exp(-(skill * TARGETS + shared + own)))
    probabilities = np.stack([1 - score, score], 1)
    folds = GROUPS % NUM_FOLDS
    by_fold = [area(TARGETS[folds == fold], score[folds == fold]) for fold in range(NUM_FOLDS)]
    return Judged(
        name,
        METRICS["roc_auc"].value(TARGETS, probabilities),
        resampled(AREA, TARGETS, probabilities, GROUPS, COUNTS)["roc_auc"],
        np.array(by_fold),
    )


def models(seed: int, skills: list[float]) -> list[Judged]:
    generator = np.random.default_rng(seed)
    shared = generator.normal(0, 1, NUM_GROUPS)[GROUPS] + generator.normal(0, 1, len(GROUPS))
    return [judged(f"model_{n}", generator, shared, skill) for n, skill in enumerate(skills)]


def compared(seed: int, skills: list[float]):
    found = models(seed, skills)
    return compare_all(found, num_groups=NUM_GROUPS, test_over_train=1 / (NUM_FOLDS - 1))


@pytest.fixture(scope="module")
def of_equals() -> list[list[Comparison]]:
    """Studies of four models that are equally good."""
    return [compared(seed, [1.0] * 4) for seed in range(STUDIES)]


def test_of_equal_models_one_study_in_twenty_at_most_finds_a_difference(
    of_equals: list[list[Comparison]],
) -> None:
    def share(name: str) -> float:
        return sum(any(getattr(pair, name) < LEVEL for pair in pairs) for pairs in of_equals) / (
            STUDIES
        )

    assert share("adjusted_p_groups") <= LEVEL + MARGIN
    assert share("adjusted_p_folds") <= LEVEL + MARGIN
    assert share("p_groups") > 2 * LEVEL, "the correction has nothing to do"


def test_of_two_equal_models_the_rate_of_false_alarms_is_the_nominal_one(
    of_equals: list[list[Comparison]],
) -> None:
    two = {"model_0", "model_1"}
    pairs = [pair for pairs in of_equals for pair in pairs if {pair.first, pair.second} == two]
    assert len(pairs) == STUDIES
    assert sum(pair.p_groups < LEVEL for pair in pairs) / STUDIES == pytest.approx(
        LEVEL, abs=MARGIN
    )


def test_a_real_difference_is_found_and_named_the_right_way_round() -> None:
    found = 0
    for seed in range(20):
        pairs = {(pair.first, pair.second): pair for pair in compared(seed, [0.3, 3.0, 0.3])}
        best = [pairs[("model_1", other)] for other in ("model_0", "model_2")]
        found += all(pair.adjusted_p_groups < LEVEL and pair.low > 0 for pair in best)
    assert found >= 19


def test_the_better_model_of_a_pair_stands_first() -> None:
    pairs = compared(0, [0.2, 2.0, 1.0])
    assert len(pairs) == 3
    assert all(pair.difference >= 0 for pair in pairs)
    assert pairs[0].first == "model_1"


def test_the_control_is_subtracted_and_counts_one_comparison_a_model() -> None:
    control, *rest = models(1, [0.0, 2.0, 2.0])
    found = compare_with(rest, control, num_groups=NUM_GROUPS, test_over_train=0.25)
    assert [(pair.first, pair.second) for pair in found] == [
        ("model_1", "model_0"),
        ("model_2", "model_0"),
    ]
    least, most = sorted(pair.p_groups for pair in found)
    adjusted = sorted(pair.adjusted_p_groups for pair in found)
    assert adjusted == pytest.approx([2 * least, max(2 * least, most)])


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=2, max_size=10))
def test_the_test_over_folds_is_the_t_test_with_a_larger_variance(values: list[float]) -> None:
    differences, ratio = np.array(values), 0.25
    found = p_by_folds(differences, test_over_train=ratio)
    if np.mean(differences) == 0:
        assert found == 1.0
        return
    if np.var(differences) == 0:
        assert found is None
        return
    folds = len(values)
    plain = ttest_1samp(differences, 0.0)
    shrunk = plain.statistic * np.sqrt((1 / folds) / (1 / folds + ratio))
    assert found == pytest.approx(2 * t.sf(abs(shrunk), folds - 1), rel=1e-9)


def test_what_cannot_be_tested_has_no_p_value() -> None:
    assert p_by_folds(np.array([0.1]), test_over_train=0.25) is None
    assert p_by_groups(0.1, np.full(10, 0.1), num_groups=5) is None
    assert p_by_groups(0.0, np.zeros(10), num_groups=5) == 1.0
    nothing = Judged("none", None, np.full(10, np.nan), np.full(5, np.nan))
    some = Judged("some", 0.7, np.full(10, 0.7), np.full(5, 0.7))
    (pair,) = compare_all([nothing, some], num_groups=5, test_over_train=0.25)
    assert (pair.first, pair.difference, pair.adjusted_p_groups) == ("some", None, None)


def test_holm_is_the_step_down_of_its_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.5, 0.9]) == [None, 1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_rejects_what_bonferroni_does_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(
        p <= a <= min(1.0, len(values) * p) + 1e-12 for p, a in zip(values, adjusted, strict=True)
    )
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)

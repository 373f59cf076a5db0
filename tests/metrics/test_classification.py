"""Every metric equals scikit-learn's, on whatever predictions there are, weighted or not."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from reelfit.metrics import METRICS, measure

Predictions = tuple[np.ndarray, np.ndarray]
CURVES = {"roc_auc", "average_precision", "equal_error_rate"}


@st.composite
def predictions(draw: st.DrawFn, *, most_classes: int = 4) -> Predictions:
    """Few distinct scores, so that they tie; few samples, so that classes are missing."""
    classes = draw(st.integers(2, most_classes))
    size = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.sampled_from([1, 2, 5, 1000]))  # 1: every score is the same
    scores = generator.integers(1, steps + 1, (size, classes)).astype(np.float64)
    present = draw(st.integers(1, classes))
    targets = generator.integers(0, present, size).astype(np.int64)
    return targets, scores / scores.sum(1, keepdims=True)


def expected(targets: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """What scikit-learn says of them, each class against the rest where there are several."""
    classes = scores.shape[1]
    predicted, labels = scores.argmax(1), list(range(classes))
    averaged = {"average": "binary"} if classes == 2 else {"average": "macro", "labels": labels}
    averaged |= {"zero_division": 0.0}
    shown = [1] if classes == 2 else labels
    pairs = [(targets == label, scores[:, label]) for label in shown]
    defined = all(0 < pair[0].sum() < len(targets) for pair in pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is missing
        return {
            "accuracy": reference.accuracy_score(targets, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, predicted),
            "precision": reference.precision_score(targets, predicted, **averaged),
            "recall": reference.recall_score(targets, predicted, **averaged),
            "f1": reference.f1_score(targets, predicted, **averaged),
            "roc_auc": mean_of(reference.roc_auc_score, pairs) if defined else None,
            "average_precision": (
                mean_of(reference.average_precision_score, pairs) if defined else None
            ),
            "equal_error_rate": mean_of(equal_error_rate, pairs) if defined else None,
            "brier_score": (
                float(np.mean((scores[:, 1] - targets) ** 2))
                if classes == 2
                else float(np.mean(np.sum((scores - np.eye(classes)[targets]) ** 2, axis=1)))
            ),
            "log_loss": reference.log_loss(targets, scores, labels=labels),
        }


def mean_of(score, pairs) -> float:
    return float(np.mean([score(*pair) for pair in pairs]))


def equal_error_rate(positive: np.ndarray, scores: np.ndarray) -> float:
    """Where scikit-learn's curve crosses the diagonal, found by its own points."""
    alarms, hits, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
    gaps = alarms + hits - 1
    return float(np.interp(0.0, gaps, alarms))


def close(found: dict[str, float | None], wanted: dict[str, float | None]) -> None:
    for name, value in wanted.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@settings(deadline=None, max_examples=60)
@given(predictions())
def test_every_metric_is_scikit_learns(given_predictions: Predictions) -> None:
    targets, scores = given_predictions
    found = measure(targets, scores)
    close(found, expected(targets, scores))
    ours = {"expected_calibration_error", "equal_mass_calibration_error"}
    assert set(found) - set(expected(targets, scores)) == ours


@settings(deadline=None, max_examples=60)
@given(predictions(), st.integers(0, 2**32))
def test_a_weighted_sample_counts_as_that_many_copies_of_it(
    given_predictions: Predictions, seed: int
) -> None:
    targets, scores = given_predictions
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(targets)))
    assume((weights.sum(1) > 0).all())
    for name, metric in METRICS.items():
        values = metric.values(targets, scores, weights.astype(np.float64))
        for value, times in zip(values, weights, strict=True):
            rows = np.repeat(np.arange(len(targets)), times)
            copied = metric.value(targets[rows], scores[rows])
            assert value == pytest.approx(np.nan if copied is None else copied, nan_ok=True), name


def test_more_classes_are_one_against_the_rest() -> None:
    generator = np.random.default_rng(0)
    targets = generator.permutation(np.arange(60) % 4).astype(np.int64)
    scores = generator.dirichlet(np.ones(4), 60)
    area = reference.roc_auc_score(targets, scores, multi_class="ovr", average="macro")
    assert measure(targets, scores)["roc_auc"] == pytest.approx(area)


def test_one_class_alone_leaves_the_curves_undefined() -> None:
    found = measure(np.ones(4, np.int64), np.array([[0.4, 0.6]] * 4))
    assert {name for name, value in found.items() if value is None} == CURVES


def test_constant_scores_rank_nothing() -> None:
    found = measure(np.array([0, 1, 1, 0]), np.full((4, 2), 0.5))
    assert found["roc_auc"] == found["equal_error_rate"] == found["average_precision"] == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused_by_every_metric(value: float) -> None:
    scores = np.array([[0.5, 0.5], [0.5, value]])
    for metric in METRICS.values():
        with pytest.raises(ValueError, match="not a finite number"):
            metric.value(np.array([0, 1]), scores)

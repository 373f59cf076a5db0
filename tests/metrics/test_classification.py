"""Every metric equals scikit-learn's, or a formula that shares nothing with ours."""

import numpy as np
import pytest
from sklearn import metrics as reference

from reelfit.metrics import METRICS, measure


def predictions(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.permutation(np.arange(60) % classes).astype(np.int64)
    scores = generator.dirichlet(np.ones(classes), 60).round(2) + 0.3 * np.eye(classes)[targets]
    return targets, scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_two_classes(seed: int) -> None:
    targets, scores = predictions(seed, 2)
    predicted, positive = scores.argmax(1), scores[:, 1]
    found = measure(targets, scores)
    wanted = {
        "accuracy": reference.accuracy_score(targets, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, predicted),
        "precision": reference.precision_score(targets, predicted),
        "recall": reference.recall_score(targets, predicted),
        "f1": reference.f1_score(targets, predicted),
        "roc_auc": reference.roc_auc_score(targets, positive),
        "average_precision": reference.average_precision_score(targets, positive),
        "brier_score": reference.brier_score_loss(targets, positive),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert set(METRICS) - set(wanted) == {"equal_error_rate"}


@pytest.mark.parametrize("seed", range(5))
def test_more_classes(seed: int) -> None:
    targets, scores = predictions(seed, 4)
    found = measure(targets, scores)
    assert found["roc_auc"] == pytest.approx(
        reference.roc_auc_score(targets, scores, multi_class="ovr", average="macro")
    )
    assert found["f1"] == pytest.approx(
        reference.f1_score(targets, scores.argmax(1), average="macro")
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_equal_error_rate_lies_between_the_thresholds_around_it(seed: int) -> None:
    targets, scores = predictions(seed, 2)
    positive = scores[:, 1]
    rates = []
    for threshold in [*np.unique(positive), 2.0]:
        alarm = positive >= threshold
        rates.append((np.mean(alarm[targets == 0]), np.mean(~alarm[targets == 1])))
    least_worse = min(max(pair) for pair in rates)
    best_below = max(min(pair) for pair in rates)
    found = measure(targets, scores)["equal_error_rate"]
    assert found is not None
    assert best_below - 1e-12 <= found <= least_worse + 1e-12


def test_one_class_alone_leaves_the_curves_undefined() -> None:
    found = measure(np.ones(4, np.int64), np.array([[0.4, 0.6]] * 4))
    undefined = {name for name, value in found.items() if value is None}
    assert undefined == {"roc_auc", "average_precision", "equal_error_rate"}

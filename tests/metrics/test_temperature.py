"""A temperature is the one that an optimiser of the log loss finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from reelfit.metrics import measure
from reelfit.metrics.temperature import LIMITS, apply_temperature, fit_temperature


def made(seed: int, firmness: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are true, made firmer or milder by a factor on their logits."""
    generator = np.random.default_rng(seed)
    true = generator.dirichlet(np.full(3, 0.8), 400)
    targets = np.array([generator.choice(3, p=row) for row in true])
    return targets, apply_temperature(true, 1 / firmness)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.4, 1.0, 3.0]))
def test_it_is_where_the_log_loss_is_least(seed: int, firmness: float) -> None:
    targets, probabilities = made(seed, firmness)

    def loss(logarithm: float) -> float:
        scaled = np.log(np.maximum(probabilities, 1e-12)) / np.exp(logarithm)
        scaled -= np.log(np.exp(scaled).sum(1, keepdims=True))
        return float(-scaled[np.arange(len(targets)), targets].mean())

    wanted = minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded")
    found = fit_temperature(targets, probabilities)
    assert loss(np.log(found)) <= wanted.fun + 1e-9


def test_probabilities_that_were_too_firm_become_true_again() -> None:
    targets, probabilities = made(0, 3.0)
    milder = apply_temperature(probabilities, fit_temperature(targets, probabilities))
    before, after = measure(targets, probabilities), measure(targets, milder)
    assert before["expected_calibration_error"] > 2 * after["expected_calibration_error"]
    assert before["log_loss"] > after["log_loss"]
    assert before["roc_auc"] == pytest.approx(after["roc_auc"], abs=0.02)  # of single videos


def test_one_leaves_them_as_they_are_and_the_order_of_classes_stays() -> None:
    _, probabilities = made(1, 1.0)
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities, abs=1e-9)
    milder = apply_temperature(probabilities, 5.0)
    assert (milder.argmax(1) == probabilities.argmax(1)).all()


def test_where_all_is_right_or_wrong_the_limits_hold() -> None:
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert fit_temperature(np.array([0, 1]), sure) == LIMITS[0]
    assert fit_temperature(np.array([1, 0]), sure) == LIMITS[1]
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert np.isfinite(apply_temperature(certain, LIMITS[0])).all()

"""Models put together, against what finds the same in other ways."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reelfit.models.ensemble import Ensemble


def predictions(num_classes, *, count=200, skills=(2.0, 1.0, 0.0)):
    """Of models that know more or less of the class."""
    generator = np.random.default_rng(num_classes)
    targets = generator.integers(0, num_classes, count)
    known = np.eye(num_classes)[targets]
    scores = [skill * known + generator.normal(size=known.shape) for skill in skills]
    raised = np.exp(np.stack(scores))
    return raised / raised.sum(2, keepdims=True), targets.astype(np.int64)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_mean_is_the_mean(num_classes):
    said, targets = predictions(num_classes)
    model = Ensemble()
    found = model.combine(model.learn(said, targets, balanced=False), said)
    np.testing.assert_allclose(found, said.mean(0), rtol=0, atol=1e-15)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_shares_are_those_of_the_least_log_loss(num_classes, balanced):
    said, targets = predictions(num_classes)
    model = Ensemble(how="weighted")
    share = model.learn(said, targets, balanced=balanced)["share"]
    right = said[:, np.arange(len(targets)), targets]
    counts = 1 / np.bincount(targets)[targets] if balanced else np.ones(len(targets))

    def loss(raw):
        return -(counts * np.log(right.T @ (raw**2 / (raw**2).sum()))).sum() / counts.sum()

    wanted = minimize(loss, np.ones(3), tol=1e-14).x ** 2
    np.testing.assert_allclose(share, wanted / wanted.sum(), atol=1e-3)
    assert loss(np.sqrt(share)) <= loss(np.sqrt(wanted)) + 1e-9
    assert share[0] > share[1] > share[2]
    assert share.sum() == pytest.approx(1)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_stacked_one_is_logistic_regression_on_what_they_say(num_classes):
    said, targets = predictions(num_classes)
    model = Ensemble(how="stacked", inverse_penalty=0.5)
    found = model.combine(model.learn(said, targets, balanced=False), said)
    logs = np.log(said)
    seen = logs[:, :, 1].T - logs[:, :, 0].T if num_classes == 2 else np.concatenate(logs, axis=1)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=5000))
    wanted = reference.fit(seen, targets).predict_proba(seen)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", ["mean", "weighted", "stacked"])
def test_models_that_are_sure_and_wrong_leave_finite_probabilities(how):
    targets = np.array([0, 1] * 10, dtype=np.int64)
    right = np.eye(2)[targets]
    said = np.stack([right, 1 - right])
    model = Ensemble(how=how)
    found = model.combine(model.learn(said, targets, balanced=False), said)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-12)
    if how != "mean":
        assert (found.argmax(1) == targets).all()

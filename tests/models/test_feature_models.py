"""Models on features against the libraries that fit them, and what is kept of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight
from xgboost import XGBClassifier

from reelfit.errors import StudyError
from reelfit.features import FEATURE_NAMES, FIRST_NAMES, SECOND_NAMES
from reelfit.models import MODELS, make_model
from reelfit.models.feature_mlp import FeatureMLP
from reelfit.models.handcrafted_gradient_boosting import HandcraftedGradientBoosting
from reelfit.models.handcrafted_svm import HandcraftedSVM
from reelfit.models.handcrafted_xgboost import HandcraftedXGBoost
from reelfit.models.model import FeatureModel
from reelfit.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

FEATURE_MODELS = [name for name, kind in MODELS.items() if issubclass(kind, FeatureModel)]
SEED = 7
TRAIN, HELD = slice(0, 90), slice(90, None)
of_two_and_more = pytest.mark.parametrize("num_classes", [2, 4])
balanced_or_not = pytest.mark.parametrize("balanced", [False, True])


def rows_of(num_classes, *, count=150, skewed=True):
    generator = np.random.default_rng(num_classes)
    share = 1 / np.arange(1, num_classes + 1) if skewed else np.ones(num_classes)
    targets = generator.choice(num_classes, count, p=share / share.sum()).astype(np.int64)
    told = generator.normal(size=(num_classes, 6))[targets] + generator.normal(size=(count, 6))
    return told * 10.0 ** np.arange(-3, 3) + 5, targets


def fitted(model, features, targets, *, balanced=False):
    return model.fit(
        features, targets, num_classes=int(targets.max()) + 1, balanced=balanced, seed=SEED
    )


def require_equal(model, reference, num_classes, balanced, *, weighted=None, atol=1e-12):
    """``weighted`` names the argument by which the reference's ``fit`` takes balanced rows."""
    features, targets = rows_of(num_classes)
    weights = fitted(model, features[TRAIN], targets[TRAIN], balanced=balanced)
    found = model.probabilities(weights, features[HELD])
    how = {}
    if weighted and balanced:
        how = {weighted: compute_sample_weight("balanced", targets[TRAIN])}
    reference.fit(features[TRAIN], targets[TRAIN], **how)
    wanted = reference.predict_proba(features[HELD])
    assert wanted.std(0).min() > 0.01  # else they would agree for saying nothing
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


@of_two_and_more
@balanced_or_not
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_support_vector_machine_predicts_what_scikit_learn_does(num_classes, balanced, kernel):
    machine = SVC(C=2.0, kernel=kernel, gamma="auto", class_weight="balanced" if balanced else None)
    reference = CalibratedClassifierCV(
        make_pipeline(StandardScaler(), OneVsRestClassifier(machine)),
        cv=StratifiedKFold(5),
        ensemble=False,
    )
    model = HandcraftedSVM(kernel=kernel, inverse_penalty=2.0)
    require_equal(model, reference, num_classes, balanced, atol=1e-9)


@of_two_and_more
@balanced_or_not
def test_gradient_boosting_predicts_what_scikit_learn_does(num_classes, balanced):
    reference = HistGradientBoostingClassifier(
        max_iter=20,
        max_leaf_nodes=8,
        min_samples_leaf=5,
        early_stopping=False,
        class_weight="balanced" if balanced else None,
        random_state=SEED,
    )
    require_equal(HandcraftedGradientBoosting(trees=20), reference, num_classes, balanced)


@of_two_and_more
@balanced_or_not
def test_xgboost_predicts_what_its_own_classifier_does(num_classes, balanced):
    reference = XGBClassifier(
        n_estimators=20, learning_rate=0.1, max_depth=3, n_jobs=1, random_state=SEED
    )
    model = HandcraftedXGBoost(trees=20)
    how = {"weighted": "sample_weight", "atol": 1e-6}  # XGBoost's numbers are of 32 bits
    require_equal(model, reference, num_classes, balanced, **how)


@of_two_and_more
@balanced_or_not
@pytest.mark.parametrize("hidden", [(8,), (6, 5)])
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_network_on_features_predicts_what_scikit_learn_does(num_classes, balanced, hidden):
    reference = make_pipeline(
        StandardScaler(),
        MLPClassifier(hidden, solver="lbfgs", alpha=1.0, max_iter=500, random_state=SEED),
    )
    model = FeatureMLP(hidden=hidden, iterations=500)
    require_equal(model, reference, num_classes, balanced, weighted="mlpclassifier__sample_weight")


@pytest.mark.parametrize("name", FEATURE_MODELS)
@of_two_and_more
def test_what_was_learnt_is_arrays_and_says_the_same_when_read_again(name, num_classes, tmp_path):
    features, targets = rows_of(num_classes)
    model = make_model(name, {})
    found = []
    for place in ("first", "again"):
        weights = fitted(model, features, targets)
        tensors = {key: torch.from_numpy(value) for key, value in weights.items()}
        path = tmp_path / f"{place}.safetensors"
        save_checkpoint(path, Checkpoint(tensors, {}))
        read = {key: value.numpy() for key, value in load_checkpoint(path).tensors.items()}
        found.append(read)
        expected = model.probabilities(weights, features)
        assert np.array_equal(model.probabilities(read, features), expected)
    first, again = found
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_balanced_classes_make_the_rare_one_likelier(name):
    features, targets = rows_of(2, count=200)
    rare = np.flatnonzero(targets == 1)[20:]
    features, targets = np.delete(features, rare, axis=0), np.delete(targets, rare)
    model = make_model(name, {"trees": 10} if "trees" in MODELS[name].model_fields else {})
    plain, even = (
        model.probabilities(fitted(model, features, targets, balanced=balanced), features)
        for balanced in (False, True)
    )
    if name == "handcrafted_svm":  # its sigmoids put the share of the classes back: it ranks alone
        assert not np.allclose(plain, even)
    else:
        assert even[:, 1].mean() > plain[:, 1].mean() + 0.02


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_with_nothing_but_constants_the_shares_of_the_classes_are_told(name):
    targets = np.array([0] * 30 + [1] * 10, dtype=np.int64)
    model = make_model(name, {})
    weights = fitted(model, np.ones((40, 3)), targets)
    found = model.probabilities(weights, np.full((2, 3), 5.0))
    np.testing.assert_allclose(found, [[0.75, 0.25]] * 2, atol=0.03)


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_a_class_of_one_row_and_few_rows_are_enough(name):
    features, _ = rows_of(3)
    for targets in ([0, 0, 0, 1], [0, 1], [0, 1, 2], [0] * 9 + [2]):
        rows = features[: len(targets)]
        model = make_model(name, {})
        weights = fitted(model, rows, np.array(targets, dtype=np.int64))
        found = model.probabilities(weights, features)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["feature_mlp", "handcrafted_gradient_boosting", "handcrafted_xgboost"]
)
def test_a_wider_or_longer_model_is_another(name):
    option = {"hidden": [3]} if name == "feature_mlp" else {"trees": 3}
    features, targets = rows_of(2)
    one, other = (make_model(name, options) for options in ({}, option))
    assert not np.allclose(
        one.probabilities(fitted(one, features, targets), features),
        other.probabilities(fitted(other, features, targets), features),
    )


def test_without_xgboost_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(StudyError, match=r"pip install reelfit\[xgboost\]"):
        make_model("handcrafted_xgboost", {})


def test_the_sets_of_features_are_those_of_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    assert FIRST_NAMES[-4:] == ["bit_rate", "frame_rate", "width", "height"]
    assert len(FIRST_NAMES) == 2 * 12 + 4
    added = [name for name in SECOND_NAMES if name not in FIRST_NAMES]
    assert [name.removesuffix("_mean") for name in added if not name.endswith("_std")] == [
        "compression_artefacts",
        "edge_density",
        "texture_uniformity",
        "colour_consistency_red",
        "colour_consistency_green",
        "colour_consistency_blue",
        "is_upscaled",
        "is_downscaled",
    ]
    assert set(FIRST_NAMES) < set(SECOND_NAMES) < set(FEATURE_NAMES)
    assert "`first`" in page
    assert "`second`" in page

"""Support vector machines on standardised handcrafted features, with calibrated probabilities."""

from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field

from reelfit.models.collinearity import are_constant
from reelfit.models.model import FeatureModel, Weights
from reelfit.models.shown_classes import classes_shown, over_all_classes

CALIBRATION_FOLDS = 5
"""Parts of the training rows; each is scored by a machine that the others taught."""


@final
class HandcraftedSVM(FeatureModel):
    """Features, a scaler, a machine for each class against the rest, and a sigmoid on its score.

    The sigmoids learn from scores of rows that the machine behind them was not fitted on.

    Source: scikit-learn's StandardScaler, SVC, OneVsRestClassifier and CalibratedClassifierCV; J.
    Platt, Probabilistic outputs for support vector machines (1999).
    """

    kernel: Literal["rbf", "linear"] = "rbf"
    """What likeness is: a Gaussian of the distance, or the product of two rows."""
    inverse_penalty: float = Field(default=1.0, gt=0)
    """The inverse of the penalty's strength (scikit-learn's C); smaller is smoother."""

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """The scaler, the support vectors, each machine's coefficients of them, the sigmoids.

        Of two classes there is one machine, for the second against the first. Constant features are
        left out, as no distance can be told by them.
        """
        del seed  # nothing is drawn
        shown = classes_shown(targets, num_classes=num_classes)
        constant = are_constant(features)
        weights: Weights = {"shown": shown, "kept": ~constant}
        if shown.sum() == 1:  # of one class alone there is nothing to learn
            return weights
        seen = _columns(features, ~constant)
        fitted = self._fitted(seen, targets, balanced=balanced)
        scaler, machines = (step for _, step in fitted.estimator.steps)
        alone = machines.estimators_
        vectors = np.concatenate([one.support_vectors_ for one in alone])
        weight, begin = np.zeros((len(alone), len(vectors))), 0
        for row, one in zip(weight, alone, strict=True):
            row[begin : begin + len(one.support_vectors_)] = one.dual_coef_[0]
            begin += len(one.support_vectors_)
        return weights | {
            "mean": np.asarray(scaler.mean_),
            "scale": np.asarray(scaler.scale_),
            "vectors": vectors,
            "weight": weight,
            "bias": np.concatenate([one.intercept_ for one in alone]),
            "slope": np.array([one.a_ for one in fitted.calibrators], dtype=np.float64),
            "shift": np.array([one.b_ for one in fitted.calibrators], dtype=np.float64),
        }

    def _fitted(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        balanced: bool,
    ) -> Any:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.frozen import FrozenEstimator
        from sklearn.model_selection import KFold, StratifiedKFold
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        machine = SVC(
            C=self.inverse_penalty,
            kernel=self.kernel,
            gamma="auto",  # 1 / features
            class_weight="balanced" if balanced else None,
        )
        model = make_pipeline(StandardScaler(), OneVsRestClassifier(machine))
        fewest = int(np.unique_counts(targets).counts.min())
        if fewest > 1:
            parts = StratifiedKFold(min(CALIBRATION_FOLDS, fewest))
        else:  # a class of one row cannot be held out: the scores are of the rows fitted on
            model = FrozenEstimator(model.fit(features, targets))
            parts = list(KFold(2).split(features))
        fitted = CalibratedClassifierCV(model, cv=parts, ensemble=False).fit(features, targets)
        found = fitted.calibrated_classifiers_[0]
        found.estimator = getattr(found.estimator, "estimator", found.estimator)
        return found

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The sigmoids of the machines' scores, divided by their sum."""
        from scipy.special import expit

        shown = weights["shown"]
        if shown.sum() == 1:
            return over_all_classes(shown, np.ones((len(features), 1)))
        scaled = (_columns(features, weights["kept"]) - weights["mean"]) / weights["scale"]
        likeness = self._likeness(scaled, weights["vectors"])
        scores = likeness @ weights["weight"].T + weights["bias"]
        found = np.asarray(expit(-(weights["slope"] * scores + weights["shift"])))
        if shown.sum() == 2:
            return over_all_classes(shown, np.concatenate([1 - found, found], axis=1))
        total = found.sum(1, keepdims=True)
        even = np.full_like(found, 1 / found.shape[1])
        return over_all_classes(shown, np.divide(found, total, out=even, where=total > 0))

    def _likeness(
        self,
        rows: Float64[np.ndarray, "sample feature"],
        vectors: Float64[np.ndarray, "vector feature"],
    ) -> Float64[np.ndarray, "sample vector"]:
        if self.kernel == "linear":
            return np.asarray(rows @ vectors.T)
        from scipy.spatial.distance import cdist

        return np.asarray(np.exp(-cdist(rows, vectors, "sqeuclidean") / rows.shape[1]))


def _columns(
    features: Float64[np.ndarray, "sample feature"], kept: Bool[np.ndarray, " feature"]
) -> Float64[np.ndarray, "sample kept"]:
    """The features that vary; a column of zeros where none does."""
    if not kept.any():
        return np.zeros((len(features), 1))
    return np.ascontiguousarray(features[:, kept])  # sums are rounded by the order in memory

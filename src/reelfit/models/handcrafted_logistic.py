"""Logistic regression on standardised handcrafted features."""

from typing import final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from reelfit.models.model import FeatureModel, Weights


@final
class HandcraftedLogistic(FeatureModel):
    """Features, a scaler, and logistic regression with an L2 penalty.

    Source: scikit-learn's StandardScaler and LogisticRegression.
    """

    inverse_penalty: float = Field(default=0.1, gt=0)
    """The inverse of the penalty's strength (scikit-learn's C); smaller is smoother."""

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
    ) -> Weights:
        """The scaler's mean and scale, and a weight per class and feature."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(features)
        regression = LogisticRegression(
            C=self.inverse_penalty, max_iter=5000, class_weight="balanced" if balanced else None
        )
        weight = np.zeros((num_classes, features.shape[1]))
        bias = np.full(num_classes, -np.inf)  # a class that no training row shows has probability 0
        shown = np.unique(targets)
        bias[shown] = 0.0
        if len(shown) > 1:  # of one class alone there is nothing to learn
            fitted = regression.fit(scaler.transform(features), targets)
            # of two classes there is one row, for the second against the first
            rows = shown[1:] if len(shown) == 2 else shown
            bias[rows], weight[rows] = fitted.intercept_, fitted.coef_
        return {
            "mean": np.asarray(scaler.mean_),
            "scale": np.asarray(scaler.scale_),
            "weight": weight,
            "bias": bias,
        }

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The softmax of the classes' scores."""
        scores = (features - weights["mean"]) / weights["scale"] @ weights["weight"].T
        scores = scores + weights["bias"]
        raised = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(raised / raised.sum(1, keepdims=True))

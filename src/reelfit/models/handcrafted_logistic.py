"""Logistic regression on standardised handcrafted features, without collinear ones."""

from typing import final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field
from typing_extensions import override

from reelfit.models.collinearity import REASONS, Cut, find_cuts
from reelfit.models.model import FeatureModel, Weights
from reelfit.models.shown_classes import softmax


@final
class HandcraftedLogistic(FeatureModel):
    """Features, a scaler, and logistic regression with an L2 penalty.

    Source: scikit-learn's StandardScaler and LogisticRegression.
    """

    inverse_penalty: float = Field(default=0.1, gt=0)
    """The inverse of the penalty's strength (scikit-learn's C); smaller is smoother."""
    max_correlation: float = Field(default=0.95, gt=0)
    """Of two features with this |r| or more on the training videos the later is left out."""
    max_inflation: float = Field(default=10.0, ge=1)
    """Features are left out, the most inflated first, while one's variance inflation is above."""

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """The scaler's mean and scale, a weight per class and feature, and what was cut.

        A feature that was cut has the weight 0. ``cuts`` has a row for each: its column, the number
        of its reason, the value, the column beside it; NaN where there is none.
        """
        del seed  # nothing is drawn
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        cuts = find_cuts(
            features, max_correlation=self.max_correlation, max_inflation=self.max_inflation
        )
        kept = np.setdiff1d(np.arange(features.shape[1]), [cut.column for cut in cuts])
        scaler = StandardScaler().fit(features)
        regression = LogisticRegression(
            C=self.inverse_penalty, max_iter=5000, class_weight="balanced" if balanced else None
        )
        weight = np.zeros((num_classes, features.shape[1]))
        bias = np.full(num_classes, -np.inf)  # a class that no training row shows has probability 0
        shown = np.unique(targets)
        bias[shown] = 0.0
        if len(shown) > 1:  # of one class alone there is nothing to learn
            # without any feature the shares of the classes are learnt: from a column of zeros
            scaled = (
                scaler.transform(features)[:, kept] if len(kept) else np.zeros((len(targets), 1))
            )
            fitted = regression.fit(scaled, targets)
            # of two classes there is one row, for the second against the first
            rows = shown[1:] if len(shown) == 2 else shown
            bias[rows] = fitted.intercept_
            weight[np.ix_(rows, kept)] = fitted.coef_[:, : len(kept)]
        return {
            "mean": np.asarray(scaler.mean_),
            "scale": np.asarray(scaler.scale_),
            "weight": weight,
            "bias": bias,
            "cuts": _as_array(cuts),
        }

    @override
    def cuts(self, weights: Weights) -> list[Cut]:
        """As they stand in the array of that name."""
        return [
            Cut(
                int(column),
                REASONS[int(reason)],
                None if np.isnan(value) else float(value),
                None if np.isnan(beside) else int(beside),
            )
            for column, reason, value, beside in weights["cuts"]
        ]

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The softmax of the classes' scores."""
        scores = (features - weights["mean"]) / weights["scale"] @ weights["weight"].T
        scores = scores + weights["bias"]
        return softmax(scores)


def _as_array(cuts: list[Cut]) -> Float64[np.ndarray, "cut 4"]:
    rows = [
        [
            cut.column,
            REASONS.index(cut.reason),
            np.nan if cut.value is None else cut.value,
            np.nan if cut.beside is None else cut.beside,
        ]
        for cut in cuts
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)

"""A small network on standardised handcrafted features."""

import warnings
from typing import Annotated, final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from reelfit.models.collinearity import are_constant
from reelfit.models.model import FeatureModel, Weights
from reelfit.models.shown_classes import classes_shown, over_all_classes, row_weights, softmax


@final
class FeatureMLP(FeatureModel):
    """Features, a scaler, and layers of rectified sums with an L2 penalty, fitted by L-BFGS.

    Source: scikit-learn's StandardScaler and MLPClassifier.
    """

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(32,), min_length=1)
    """The width of each hidden layer."""
    penalty: float = Field(default=1.0, ge=0)
    """On the squares of the weights (scikit-learn's alpha); more is smoother."""
    iterations: int = Field(default=200, ge=1)
    """Steps at the most."""

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """The scaler, and a weight and bias per layer, numbered from 0.

        A constant feature has the scale infinity: it is 0, whatever it is.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier
        from sklearn.preprocessing import StandardScaler

        shown = classes_shown(targets, num_classes=num_classes)
        if shown.sum() == 1:  # of one class alone there is nothing to learn
            return {"shown": shown}
        kept = ~are_constant(features)
        scaler = StandardScaler().fit(features)
        scaled = scaler.transform(features)[:, kept] if kept.any() else np.zeros((len(targets), 1))
        model = MLPClassifier(
            self.hidden,
            solver="lbfgs",
            alpha=self.penalty,
            max_iter=self.iterations,
            random_state=seed % 2**32,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # an end by count is as asked
            model.fit(scaled, targets, sample_weight=row_weights(targets, balanced=balanced))
        first = np.zeros((len(kept), self.hidden[0]))
        first[kept] = model.coefs_[0][: kept.sum()]
        layers = zip([first, *model.coefs_[1:]], model.intercepts_, strict=True)
        weights: Weights = {
            "shown": shown,
            "mean": np.asarray(scaler.mean_),
            "scale": np.where(kept, scaler.scale_, np.inf),
        }
        for number, (weight, bias) in enumerate(layers):
            weights |= {f"weight_{number}": weight, f"bias_{number}": bias}
        return weights

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The softmax of the last layer; of two classes the logistic function of one output."""
        shown = weights["shown"]
        if shown.sum() == 1:
            return over_all_classes(shown, np.ones((len(features), 1)))
        rows = (features - weights["mean"]) / weights["scale"]
        for number in range(len(self.hidden) + 1):
            rows = np.maximum(rows, 0) if number else rows
            rows = rows @ weights[f"weight_{number}"] + weights[f"bias_{number}"]
        if shown.sum() == 2:
            rows = np.concatenate([-rows / 2, rows / 2], axis=1)
        return over_all_classes(shown, softmax(rows))

"""Logistic regression on the features of a trained network."""

from typing import final

from pydantic import Field

from reelfit.models.collinearity import HIGHEST_INFLATION
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.model import FeatureModel, OnNetwork

_NO_CORRELATION = 2.0
"""None is as high, so that none is cut: the penalty shares a weight out among like features."""


@final
class LogisticOn(OnNetwork):
    """Features, a scaler, and logistic regression with an L2 penalty."""

    inverse_penalty: float = Field(default=0.1, gt=0)
    """The inverse of the penalty's strength (scikit-learn's C); smaller is smoother."""

    def classifier(self) -> FeatureModel:
        """The regression, which leaves constant features out, and no others."""
        return HandcraftedLogistic(
            inverse_penalty=self.inverse_penalty,
            max_correlation=_NO_CORRELATION,
            max_inflation=HIGHEST_INFLATION,
        )

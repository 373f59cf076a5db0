"""XGBoost on handcrafted features."""

from importlib.util import find_spec
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from reelfit.errors import StudyError
from reelfit.models.model import FeatureModel, Weights
from reelfit.models.shown_classes import classes_shown, over_all_classes, row_weights


@final
class HandcraftedXGBoost(FeatureModel):
    """Gradient boosting of trees with a penalty on their leaves.

    Source: T. Chen and C. Guestrin, XGBoost: a scalable tree boosting system (2016).
    """

    trees: int = Field(default=100, ge=1)
    """Rounds; of more than two classes each round has a tree for every class."""
    learning_rate: float = Field(default=0.1, gt=0)
    """How much of its correction each tree is believed (XGBoost's eta)."""
    max_depth: int = Field(default=3, ge=1)
    """Questions between the root of a tree and a leaf at the most."""
    penalty: float = Field(default=1.0, ge=0)
    """On the squares of what leaves say (XGBoost's lambda); more is smoother."""

    def model_post_init(self, context: Any, /) -> None:
        """Says so where XGBoost is not installed, before anything is decoded.

        Raises:
            StudyError: it is not; names the extra.
        """
        del context
        if find_spec("xgboost") is None:
            raise StudyError("models: XGBoost is not installed: pip install reelfit[xgboost]")

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """XGBoost's own file of the trees (UBJSON: values, no code), byte by byte."""
        shown = classes_shown(targets, num_classes=num_classes)
        if shown.sum() == 1:  # of one class alone there is nothing to learn
            return {"shown": shown}
        import xgboost

        rows = xgboost.DMatrix(
            features,
            label=np.cumsum(shown)[targets] - 1,  # counted among those shown
            weight=row_weights(targets, balanced=balanced),
            nthread=1,
        )
        settings = {
            "eta": self.learning_rate,
            "max_depth": self.max_depth,
            "lambda": self.penalty,
            "seed": seed % 2**31,
            "nthread": 1,  # sums in one order
            "verbosity": 0,
            "objective": "binary:logistic",
        }
        if shown.sum() > 2:
            settings |= {"objective": "multi:softprob", "num_class": int(shown.sum())}
        booster = xgboost.train(settings, rows, num_boost_round=self.trees)
        packed = booster.save_raw("ubj")
        return {"shown": shown, "booster": np.frombuffer(packed, dtype=np.uint8).copy()}

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """What XGBoost makes of its file; of float32, so each row is divided by its sum."""
        shown = weights["shown"]
        if shown.sum() == 1:
            return over_all_classes(shown, np.ones((len(features), 1)))
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(weights["booster"].tobytes()))
        rows = xgboost.DMatrix(features, nthread=1)
        found = np.asarray(booster.predict(rows), dtype=np.float64)
        if shown.sum() == 2:
            return over_all_classes(shown, np.stack([1 - found, found], axis=1))
        return over_all_classes(shown, found / found.sum(1, keepdims=True))

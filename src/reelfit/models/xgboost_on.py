"""XGBoost on the features of a trained network."""

from typing import final

from pydantic import Field

from reelfit.models.handcrafted_xgboost import HandcraftedXGBoost
from reelfit.models.model import FeatureModel, OnNetwork


@final
class XGBoostOn(OnNetwork):
    """Boosted trees; the options are those of ``handcrafted_xgboost``."""

    trees: int = Field(default=100, ge=1)
    """Rounds; of more than two classes each round has a tree for every class."""
    learning_rate: float = Field(default=0.1, gt=0)
    """How much of its correction each tree is believed (XGBoost's eta)."""
    max_depth: int = Field(default=3, ge=1)
    """Questions between the root of a tree and a leaf at the most."""
    penalty: float = Field(default=1.0, ge=0)
    """On the squares of what leaves say (XGBoost's lambda); more is smoother."""

    def classifier(self) -> FeatureModel:
        """XGBoost with these options."""
        return HandcraftedXGBoost(**self.model_dump(exclude={"model"}))

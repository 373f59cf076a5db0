"""The models: one file each, one row each."""

from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from reelfit.errors import StudyError
from reelfit.models.ensemble import Ensemble
from reelfit.models.feature_mlp import FeatureMLP
from reelfit.models.handcrafted_gradient_boosting import HandcraftedGradientBoosting
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.handcrafted_svm import HandcraftedSVM
from reelfit.models.handcrafted_xgboost import HandcraftedXGBoost
from reelfit.models.logistic_on import LogisticOn
from reelfit.models.model import Model
from reelfit.models.naive_cnn import NaiveCNN
from reelfit.models.r2plus1d import R2Plus1D
from reelfit.models.xgboost_on import XGBoostOn

MODELS: Final[dict[str, type[Model]]] = {
    "ensemble": Ensemble,
    "feature_mlp": FeatureMLP,
    "handcrafted_gradient_boosting": HandcraftedGradientBoosting,
    "handcrafted_logistic": HandcraftedLogistic,
    "handcrafted_svm": HandcraftedSVM,
    "handcrafted_xgboost": HandcraftedXGBoost,
    "logistic_on": LogisticOn,
    "naive_cnn": NaiveCNN,
    "r2plus1d": R2Plus1D,
    "xgboost_on": XGBoostOn,
}


def make_model(name: str, options: dict[str, Any]) -> Model:
    """The model ``name`` with its options.

    Raises:
        StudyError: no such model or option; names the nearest.
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(MODELS)}"
        raise StudyError(f"models: {name} is not a model; {hint}")
    kind = MODELS[name]
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = list(kind.model_fields)
            near = get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise StudyError(f"models: {name} has no option {option}; {hint}") from None
        raise StudyError(f"models: {name}.{option}: {first['msg']}") from None

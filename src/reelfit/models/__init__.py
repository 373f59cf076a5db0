"""The models: one file each, one row each."""

from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from reelfit.errors import StudyError
from reelfit.models.cnn_gru import CnnGru
from reelfit.models.ensemble import Ensemble
from reelfit.models.feature_mlp import FeatureMLP
from reelfit.models.frame_difference_cnn import FrameDifferenceCNN
from reelfit.models.handcrafted_gradient_boosting import HandcraftedGradientBoosting
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.handcrafted_svm import HandcraftedSVM
from reelfit.models.handcrafted_xgboost import HandcraftedXGBoost
from reelfit.models.i3d import I3D
from reelfit.models.logistic_on import LogisticOn
from reelfit.models.model import Model
from reelfit.models.naive_cnn import NaiveCNN
from reelfit.models.r2plus1d import R2Plus1D
from reelfit.models.r3d import R3D
from reelfit.models.slowfast import SlowFast
from reelfit.models.timesformer import TimeSformer
from reelfit.models.two_stream import TwoStream
from reelfit.models.variable_ar_cnn import VariableAspectRatioCNN
from reelfit.models.videomae import VideoMAE
from reelfit.models.vit_gru import ViTGRU
from reelfit.models.vit_transformer import ViTTransformer
from reelfit.models.vivit import ViViT
from reelfit.models.vjepa2 import VJEPA2
from reelfit.models.x3d import X3D
from reelfit.models.xgboost_on import XGBoostOn
from reelfit.settings import Settings

Chosen = TypeVar("Chosen", bound=Settings)

MODELS: Final[dict[str, type[Model]]] = {
    "cnn_gru": CnnGru,
    "ensemble": Ensemble,
    "feature_mlp": FeatureMLP,
    "frame_difference_cnn": FrameDifferenceCNN,
    "handcrafted_gradient_boosting": HandcraftedGradientBoosting,
    "handcrafted_logistic": HandcraftedLogistic,
    "handcrafted_svm": HandcraftedSVM,
    "handcrafted_xgboost": HandcraftedXGBoost,
    "i3d": I3D,
    "logistic_on": LogisticOn,
    "naive_cnn": NaiveCNN,
    "r2plus1d": R2Plus1D,
    "r3d": R3D,
    "slowfast": SlowFast,
    "timesformer": TimeSformer,
    "two_stream": TwoStream,
    "variable_ar_cnn": VariableAspectRatioCNN,
    "videomae": VideoMAE,
    "vit_gru": ViTGRU,
    "vit_transformer": ViTTransformer,
    "vivit": ViViT,
    "vjepa2": VJEPA2,
    "x3d": X3D,
    "xgboost_on": XGBoostOn,
}


def kind_of(name: str) -> type[Model]:
    """The class of the model ``name``.

    Raises:
        StudyError: no such model; names the nearest.
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(MODELS)}"
        raise StudyError(f"models: {name} is not a model; {hint}")
    return MODELS[name]


def make_model(name: str, options: dict[str, Any]) -> Model:
    """The model ``name`` with its options.

    Raises:
        StudyError: no such model or option; names the nearest.
    """
    return with_options(kind_of(name), name, options, place="models")


def with_options(kind: type[Chosen], name: str, options: dict[str, Any], *, place: str) -> Chosen:
    """The part ``name`` of a study with its options; ``place`` is where the study chooses it.

    Raises:
        StudyError: no such option, or not this value; names the nearest.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = list(kind.model_fields)
            near = get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise StudyError(f"{place}: {name} has no option {option}; {hint}") from None
        where = ".".join([name, option] if option else [name])
        said = first["msg"].removeprefix("Value error, ")
        raise StudyError(f"{place}: {where}: {said}") from None

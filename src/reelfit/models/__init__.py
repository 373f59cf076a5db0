"""The models: one file each, one row each."""

from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from reelfit.errors import StudyError
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.model import Model
from reelfit.models.naive_cnn import NaiveCNN
from reelfit.models.r2plus1d import R2Plus1D
from reelfit.models.timesformer import TimeSformer
from reelfit.models.videomae import VideoMAE
from reelfit.models.vit_gru import ViTGRU
from reelfit.models.vit_transformer import ViTTransformer
from reelfit.models.vivit import ViViT
from reelfit.models.vjepa2 import VJEPA2

MODELS: Final[dict[str, type[Model]]] = {
    "handcrafted_logistic": HandcraftedLogistic,
    "naive_cnn": NaiveCNN,
    "r2plus1d": R2Plus1D,
    "timesformer": TimeSformer,
    "videomae": VideoMAE,
    "vit_gru": ViTGRU,
    "vit_transformer": ViTTransformer,
    "vivit": ViViT,
    "vjepa2": VJEPA2,
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
        place = ".".join([name, option] if option else [name])
        said = first["msg"].removeprefix("Value error, ")
        raise StudyError(f"models: {place}: {said}") from None

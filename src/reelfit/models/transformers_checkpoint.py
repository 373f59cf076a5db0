"""Encoders of the transformers library: from a configuration, or whole from a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.modules.batchnorm import _BatchNorm

from reelfit.data.checkpoint_files import PREPROCESSORS, find_checkpoint, missing_library
from reelfit.errors import StudyError
from reelfit.files import read_json
from reelfit.models.input_adapter import Needs

IMAGENET: Final = Needs(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
FEW = 6
"""Names of weights that a message lists; of the others it says how many they are."""


@contextmanager
def library() -> Iterator[Any]:
    """The transformers library, which says nothing inside: what matters is raised.

    Raises:
        StudyError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise StudyError(missing_library("this model")) from None
    log: Any = transformers.utils.logging
    verbosity, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield transformers
    finally:
        log.set_verbosity(verbosity)
        if bar:
            log.enable_progress_bar()


def read_configuration(weights: str, changes: dict[str, Any]) -> Any:
    """The configuration of a checkpoint, with some of its values changed.

    Raises:
        StudyError: there is no checkpoint, or the library does not know its kind.
    """
    folder = find_checkpoint(weights)
    with library() as transformers:
        try:
            kinds = transformers.AutoConfig
            return kinds.from_pretrained(folder, **changes)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StudyError(f"weights: {folder}: {_first_line(error)}") from None


def make_configuration(kind: str, values: dict[str, Any]) -> Any:
    """The configuration of a kind of model, with defaults where ``values`` has none.

    Raises:
        StudyError: the library does not know the kind, or cannot take a value.
    """
    with library() as transformers:
        if kind not in transformers.CONFIG_MAPPING:
            raise StudyError(f"{kind} is not a model of the transformers library")
        from huggingface_hub.errors import StrictDataclassError

        configuration = transformers.CONFIG_MAPPING[kind]
        try:
            made = configuration(**values)
        except (ValueError, TypeError, StrictDataclassError) as error:
            raise StudyError(f"config: {kind}: {_first_line(error)}") from None
    unknown = sorted(name for name in values if not hasattr(configuration(), name))
    if unknown:
        raise StudyError(f"config: {kind} has no {unknown[0]}")
    return made


def build_library_model(auto_class: str, configuration: Any, weights: str | None) -> Any:
    """A model of the library in single precision: its weights drawn, or those of a checkpoint.

    What stands above the encoder may be new. Where tensors have no data, as on the meta device,
    there are no weights either; the checkpoint is held against the model all the same, but where
    only a step is traced. Memory: the weights.

    Raises:
        StudyError: weights are damaged, missing, unexpected or of another shape; lists them.
    """
    with library() as transformers:
        maker = getattr(transformers, auto_class)
        named = _extra_options(transformers, auto_class, configuration)
        here = torch.empty(0)
        if here.is_meta and weights is not None:
            with torch.device("cpu"):
                _loaded(maker, configuration, weights, named)
        if here.is_meta:
            return _without_data(maker, configuration, named)
        if type(here) is not Tensor:  # but a FakeTensor: the library looks at values when it builds
            with unset_fake_temporarily():
                model = _without_data(maker, configuration, named)
            return model.to_empty(device=here.device)
        if weights is None:
            return _made(maker, configuration, named)
        return _loaded(maker, configuration, weights, named)


def _without_data(maker: Any, configuration: Any, named: dict[str, Any]) -> Any:
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        return _made(maker, configuration, named)


def normalisation(weights: str | None, usual: Needs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of pixels from 0 to 1: the checkpoint's own, or those usual."""
    places = [] if weights is None else [find_checkpoint(weights) / name for name in PREPROCESSORS]
    place = next((place for place in places if place.exists()), None)
    if place is None:
        return usual.mean, usual.std
    try:
        said = read_json(place)
    except ValueError as error:
        raise StudyError(f"weights: {place} is not valid JSON: {error}") from None
    mean, std = said.get("image_mean", usual.mean), said.get("image_std", usual.std)
    if not said.get("do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    if said.get("offset"):  # of pixels that were brought to -1..1 before
        mean, std = [(each + 1) / 2 for each in mean], [each / 2 for each in std]
    return tuple(map(float, mean)), tuple(map(float, std))


def refuse_batch_norm(encoder: Any) -> None:
    """Refuses encoders in which the samples of a batch would see each other.

    Raises:
        StudyError: a layer is a batch norm; names it.
    """
    kind = encoder.config.model_type
    for place, layer in encoder.named_modules():
        if isinstance(layer, _BatchNorm):
            raise StudyError(
                f"encoder: {kind} has batch norm ({place}), by which the samples of a batch see "
                "each other: take an encoder without, such as vit, deit, dinov2, swin or convnext"
            )


def _made(maker: Any, configuration: Any, named: dict[str, Any]) -> Any:
    try:
        return maker.from_config(configuration, dtype=torch.float32, **named)
    except (ValueError, TypeError) as error:
        kind = configuration.model_type
        raise StudyError(f"{kind} cannot be built of this: {_first_line(error)}") from None


def _extra_options(transformers: Any, auto_class: str, configuration: Any) -> dict[str, Any]:
    """Without a pooler of weights, which few checkpoints have, where the model can do without."""
    if auto_class != "AutoModel" or type(configuration) not in transformers.MODEL_MAPPING:
        return {}
    kind = transformers.MODEL_MAPPING[type(configuration)]
    kind = kind[0] if isinstance(kind, tuple) else kind
    takes = "add_pooling_layer" in kind.__init__.__code__.co_varnames
    return {"add_pooling_layer": False} if takes else {}


def _loaded(maker: Any, configuration: Any, weights: str, named: dict[str, Any]) -> Any:
    from safetensors import SafetensorError

    folder = find_checkpoint(weights)
    try:
        model, told = maker.from_pretrained(
            folder,
            config=configuration,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **named,
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise StudyError(f"weights: {folder} cannot be read: {_first_line(error)}") from None
    _require_whole(folder, model, told)
    return model


def _require_whole(folder: Path, model: Any, told: dict[str, Any]) -> None:
    encoder = model.base_model
    prefix = "" if encoder is model else f"{model.base_model_prefix}."
    own = {name for name, _ in (*encoder.named_children(), *encoder.named_parameters())}

    def of_encoder(name: str) -> bool:
        inner = name.removeprefix(f"{model.base_model_prefix}.")
        return inner.partition(".")[0] in own

    missing = [name for name in told["missing_keys"] if name.startswith(prefix)]
    unexpected = [name for name in told["unexpected_keys"] if of_encoder(name)]
    mismatched = [
        f"{name} {tuple(there)} in place of {tuple(wanted)}"
        for name, there, wanted in told["mismatched_keys"]
        if name.startswith(prefix)
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched}
    said = [f"{what}: {_few(names)}" for what, names in kinds.items() if names]
    if said:
        raise StudyError(
            f"weights: {folder} is not a whole checkpoint of {model.config.model_type}: "
            + "; ".join(said)
        )


def _few(names: list[str]) -> str:
    shown = sorted(names)[:FEW]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def require_weights(weights: str | None, *, train: str) -> None:
    """Looks whether what of an encoder is not to learn has learnt before.

    Raises:
        ValueError: it has not.
    """
    if weights is None and train != "all":
        raise ValueError(
            f"train: {train} would leave an encoder without weights as it was drawn: "
            "give weights, or train: all"
        )

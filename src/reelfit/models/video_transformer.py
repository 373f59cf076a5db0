"""Encoders of whole clips in the transformers library: what their families have in common."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.errors import StudyError
from reelfit.models.input_adapter import Needs
from reelfit.models.transformers_checkpoint import (
    build_library_model,
    make_configuration,
    normalisation,
    read_configuration,
)
from reelfit.models.transformers_network import TransformersNetwork, widths_of

Pooling = Callable[[Float[Tensor, "batch token width"]], Float[Tensor, "batch ..."]]


@dataclass(frozen=True)
class Parts:
    """A model of the library taken apart: its encoder, and what it makes of the tokens."""

    encoder: nn.Module
    pool: Pooling
    """Without weights, so that what it gives can be kept."""
    above: nn.Module


@dataclass(frozen=True)
class Family:
    """What the library calls things in one family, and how clips are usually normalised."""

    kind: str
    usual: Needs
    """Frames and colours as published."""
    frames: str = "num_frames"
    """The value of the configuration that has the number of frames."""
    side: str = "image_size"
    """The value that has the pixels of a side."""
    pixels: str = "pixel_values"
    """The argument that takes the clips."""


class VideoTransformer(TransformersNetwork):
    """The options of networks whose encoder sees the whole clip."""

    frames: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Frames that the encoder sees, made of those of the clip; null: its own."""

    family: ClassVar[Family]

    def of_size(self) -> dict[str, Any]:
        """The configuration's values for the size; mini sees 8 frames of 112 pixels."""
        widths, family, mini = widths_of(self.size), self.family, self.size == "mini"
        seen = {
            family.frames: 8 if mini else family.usual.frames,
            family.side: 112 if mini else (family.usual.size or (224,))[0],
        }
        return widths | {"intermediate_size": 4 * widths["hidden_size"]} | seen

    @abstractmethod
    def take_apart(self, model: Any) -> Parts:
        """The library's classifier in parts, without its last layer."""

    @override
    def configuration(self) -> Any:
        """That of the weights, or of the size."""
        family = self.family
        asked = {family.frames: self.frames, family.side: self.image_size}
        given = {name: value for name, value in asked.items() if value is not None} | self.config
        if self.weights is None:
            return make_configuration(family.kind, self.of_size() | given)
        found = read_configuration(self.weights, given)
        if found.model_type != family.kind:
            raise StudyError(
                f"weights: {self.weights} is a checkpoint of {found.model_type}, not {family.kind}"
            )
        return found

    @override
    def needs(self) -> Needs:
        """As many frames as the encoder was made for, of its size and colours."""
        found = self.configuration()
        side = getattr(found, self.family.side)
        size = (side, side) if isinstance(side, int) else tuple(side)
        mean, std = normalisation(self.weights, self.family.usual)
        frames = getattr(found, self.family.frames)
        return Needs(frames=frames, size=size, mean=mean, std=std, own_scale=True)

    @override
    def build(self, *, num_outputs: int) -> nn.Module:
        """The network.

        Raises:
            StudyError: the weights are of another family, or damaged.
        """
        found = self.configuration()
        model = build_library_model("AutoModelForVideoClassification", found, self.weights)
        parts = self.take_apart(model)
        encoder = _ClipEncoder(parts.encoder, self.family.pixels, parts.pool)
        return self.assemble(
            self.needs(), encoder, parts.above, width=found.hidden_size, num_outputs=num_outputs
        )


def first_token(
    tokens: Float[Tensor, "batch token width"],
) -> Float[Tensor, "batch width"]:
    """The class token."""
    return tokens[:, 0]


@final
class _ClipEncoder(nn.Module):
    def __init__(self, model: nn.Module, pixels: str, pool: Pooling) -> None:
        super().__init__()
        self.model = model
        self.pixels = pixels
        self.pool = pool

    @override
    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch ..."]:
        return self.pool(self.model(**{self.pixels: clips}).last_hidden_state)

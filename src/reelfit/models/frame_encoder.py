"""Encoders of pictures, seen frame by frame: what vit_gru and vit_transformer have in common."""

from abc import abstractmethod
from typing import Any, Final, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.errors import StudyError
from reelfit.models.input_adapter import Needs
from reelfit.models.transformers_checkpoint import (
    IMAGENET,
    build_library_model,
    make_configuration,
    normalisation,
    read_configuration,
    refuse_batch_norm,
)
from reelfit.models.transformers_network import Size, TransformersNetwork, widths_of

SIDES: Final[dict[Size, int]] = {"mini": 112}
"""Pixels of a side where they are not the published 224."""
STAGES: Final[dict[str, dict[Size, dict[str, Any]]]] = {
    "swin": {
        "mini": {"embed_dim": 32, "depths": [1, 2], "num_heads": [2, 4]},
        "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
        "small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24]},
        "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
        "large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48]},
    },
    "convnext": {
        "mini": {"hidden_sizes": [32, 64, 128], "depths": [1, 1, 2], "num_stages": 3},
        "tiny": {"hidden_sizes": [96, 192, 384, 768], "depths": [3, 3, 9, 3]},
        "small": {"hidden_sizes": [96, 192, 384, 768], "depths": [3, 3, 27, 3]},
        "base": {"hidden_sizes": [128, 256, 512, 1024], "depths": [3, 3, 27, 3]},
        "large": {"hidden_sizes": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]},
    },
}
"""Encoders in stages. Source: Liu et al., Swin Transformer (2021); A ConvNet for the 2020s (2022).

Both mini ones are Reelfit's own.
"""
PATCHES: Final = {"vit": 16, "deit": 16, "dinov2": 14}
"""Encoders of one width throughout, with pixels of a patch's side."""


class FrameNetwork(TransformersNetwork):
    """The options of networks that encode each frame by itself."""

    encoder: str | None = None
    """A kind of image encoder of the library: vit (the default without weights), deit, dinov2, swin
    or convnext by size; any other by weights or by config."""
    hidden: int = Field(default=128, ge=8, multiple_of=8)
    """The width of what stands above the encoder."""
    layers: int = Field(default=1, ge=1)
    """Its layers."""

    @override
    def configuration(self) -> Any:
        """That of the weights, or of the encoder in its size."""
        side = {} if self.image_size is None else {"image_size": self.image_size}
        if self.weights is None:
            kind = self.encoder or "vit"
            return make_configuration(kind, self._of_size(kind) | side | self.config)
        found = read_configuration(self.weights, side | self.config)
        if self.encoder not in (None, found.model_type):
            raise StudyError(
                f"encoder: {self.encoder} is asked for, and the weights are of {found.model_type}"
            )
        return found

    def _of_size(self, kind: str) -> dict[str, Any]:
        side = SIDES.get(self.size, 224)
        if kind in PATCHES:
            found = widths_of(self.size) | {"patch_size": PATCHES[kind], "image_size": side}
            wide = {} if kind == "dinov2" else {"intermediate_size": 4 * found["hidden_size"]}
            return found | wide
        if kind in STAGES:
            return STAGES[kind][self.size] | {"image_size": side}
        if not self.config:
            known = ", ".join([*PATCHES, *STAGES])
            raise StudyError(
                f"encoder: {kind} has no sizes here ({known} do): give weights or config"
            )
        return {}

    @override
    def needs(self) -> Needs:
        """Frames of the encoder's size and colours, as many as there are."""
        found = self.configuration()
        side = getattr(found, "image_size", None)
        size = None if side is None else ((side, side) if isinstance(side, int) else tuple(side))
        usual = Needs() if found.model_type == "vit" else IMAGENET
        mean, std = normalisation(self.weights, usual)
        return Needs(size=size, mean=mean, std=std, own_scale=True)

    @abstractmethod
    def above(self, width: int) -> nn.Module:
        """From an embedding of ``width`` for each frame to one of ``hidden`` for the clip."""

    @override
    def build(self, *, num_outputs: int) -> nn.Module:
        """The network.

        Raises:
            StudyError: the encoder is none of pictures, has batch norm, or its weights are damaged.
        """
        found = self.configuration()
        kind = found.model_type
        if any(hasattr(found, frames) for frames in ("num_frames", "frames_per_clip")):
            raise StudyError(
                f"encoder: {kind} sees clips, not frames: take it as a model by itself"
            )
        model = build_library_model("AutoModel", found, self.weights)
        if model.main_input_name != "pixel_values":
            raise StudyError(f"encoder: {kind} is no encoder of pictures")
        refuse_batch_norm(model)
        for name, parameter in model.named_parameters():
            if name.endswith("mask_token"):  # of pretraining alone
                parameter.requires_grad_(False)
        width = getattr(found, "hidden_size", None) or found.hidden_sizes[-1]
        encoder, above = _FrameEncoder(model), self.above(width)
        return self.assemble(
            self.needs(), encoder, above, width=self.hidden, num_outputs=num_outputs
        )


@final
class _FrameEncoder(nn.Module):
    """One embedding per frame: the encoder's own, its class token, or the mean of its places."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.has_class = any(name.endswith("cls_token") for name, _ in model.named_parameters())

    @override
    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch time embedding"]:
        found = self.model(pixel_values=clips.flatten(0, 1))
        pooled: Tensor | None = getattr(found, "pooler_output", None)
        if pooled is None:
            places: Tensor = found.last_hidden_state
            if places.ndim == 4:
                pooled = places.mean((2, 3))
            else:
                pooled = places[:, 0] if self.has_class else places.mean(1)
        return pooled.reshape(*clips.shape[:2], -1)

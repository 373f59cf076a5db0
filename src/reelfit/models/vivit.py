"""ViViT: a vision transformer on tubes of a clip, with attention over all of them at once."""

from typing import Any, ClassVar, final

from torch import nn
from typing_extensions import override

from reelfit.models.input_adapter import Needs
from reelfit.models.video_transformer import Family, Parts, VideoTransformer, first_token


@final
class ViViT(VideoTransformer):
    """The encoder on 32 frames, and its class token; size mini sees 8 frames of 112 pixels.

    Source: Arnab et al., ViViT: A Video Vision Transformer (2021), its first model, as the
    transformers library has it.
    """

    family: ClassVar[Family] = Family("vivit", Needs(frames=32))

    @override
    def take_apart(self, model: Any) -> Parts:
        """The class token."""
        return Parts(model.vivit, first_token, nn.Identity())

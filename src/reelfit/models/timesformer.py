"""TimeSformer: a vision transformer whose attention is divided into time and space."""

from typing import Any, ClassVar, final

from torch import nn
from typing_extensions import override

from reelfit.models.input_adapter import Needs
from reelfit.models.video_transformer import Family, Parts, VideoTransformer, first_token


@final
class TimeSformer(VideoTransformer):
    """The encoder on 8 frames, and its class token; size mini sees frames of 112 pixels.

    Source: Bertasius et al., Is Space-Time Attention All You Need for Video Understanding? (2021),
    as the transformers library has it.
    """

    family: ClassVar[Family] = Family(
        "timesformer", Needs(frames=8, mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
    )

    @override
    def take_apart(self, model: Any) -> Parts:
        """The class token."""
        return Parts(model.timesformer, first_token, nn.Identity())

"""VideoMAE: a vision transformer on tubes of a clip, pretrained by hiding most of them."""

from dataclasses import replace
from typing import Any, ClassVar, final

from torch import nn
from typing_extensions import override

from reelfit.models.transformers_checkpoint import IMAGENET
from reelfit.models.video_transformer import Family, Parts, VideoTransformer, first_token


@final
class VideoMAE(VideoTransformer):
    """The encoder on 16 frames, and the mean of its tokens; size mini sees 8 frames of 112 pixels.

    Its places are sines, so that weights hold for any number of frames and any size.

    Source: Tong et al., VideoMAE (2022), as the transformers library has it.
    """

    family: ClassVar[Family] = Family("videomae", replace(IMAGENET, frames=16))

    @override
    def take_apart(self, model: Any) -> Parts:
        """The mean of all tokens is normalised; without that norm the first token counts."""
        if model.fc_norm is None:
            return Parts(model.videomae, first_token, nn.Identity())
        return Parts(model.videomae, lambda tokens: tokens.mean(1), model.fc_norm)

"""V-JEPA 2: a vision transformer with rotary places, pretrained by predicting embeddings."""

from dataclasses import replace
from typing import Any, ClassVar, final

from typing_extensions import override

from reelfit.models.transformers_checkpoint import IMAGENET
from reelfit.models.video_transformer import Family, Parts, VideoTransformer


@final
class VJEPA2(VideoTransformer):
    """The encoder on 16 frames of 256 pixels, and attention that pools its tokens, which learns.

    Size mini sees 8 frames of 112 pixels. The places are rotations, so that weights hold for any
    number of frames and any size.

    Source: Assran et al., V-JEPA 2 (2025), as the transformers library has it.
    """

    family: ClassVar[Family] = Family(
        "vjepa2",
        replace(IMAGENET, frames=16, size=(256, 256)),
        frames="frames_per_clip",
        side="crop_size",
        pixels="pixel_values_videos",
    )

    @override
    def of_size(self) -> dict[str, Any]:
        """Tubes of 2 frames and 16 pixels; the predictor, of pretraining alone, is the least."""
        values = super().of_size() | {
            "num_pooler_layers": 1 if self.size == "mini" else 3,
            "pred_hidden_size": 24,
            "pred_num_attention_heads": 1,
            "pred_num_hidden_layers": 1,
            "pred_num_mask_tokens": 1,
        }
        del values["intermediate_size"]  # it goes by mlp_ratio
        return values

    @override
    def take_apart(self, model: Any) -> Parts:
        """All tokens go to the pooler; the predictor, of pretraining alone, is dropped."""
        return Parts(model.vjepa2.encoder, lambda tokens: tokens, model.pooler)

"""An image encoder on each frame, then a small transformer over time."""

import math
from typing import final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.errors import StudyError
from reelfit.models.frame_encoder import FrameNetwork


@final
class ViTTransformer(FrameNetwork):
    """An encoder of the transformers library on each frame, and attention over the frames.

    Source: Neimark et al., Video Transformer Network (2021).
    """

    heads: int = Field(default=4, ge=1)
    """Heads of attention over time; ``hidden`` is a multiple of them."""

    @override
    def above(self, width: int) -> nn.Module:
        """The transformer.

        Raises:
            StudyError: ``hidden`` is no multiple of ``heads``.
        """
        if self.hidden % self.heads:
            raise StudyError(f"heads: {self.heads} do not divide hidden, which is {self.hidden}")
        return _Attention(width, self.hidden, self.layers, self.heads, self.dropout)


class _Attention(nn.Module):
    def __init__(self, width: int, hidden: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                hidden, heads, 4 * hidden, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)

    @override
    def forward(
        self, embeddings: Float[Tensor, "batch time width"]
    ) -> Float[Tensor, "batch hidden"]:
        found = self.project(embeddings)
        found = found + _places_in_time(found)
        for layer in self.layers:
            found = layer(found)
        outputs: Tensor = self.norm(found).mean(1)
        return outputs


def _places_in_time(of: Float[Tensor, "batch time hidden"]) -> Float[Tensor, "time hidden"]:
    """Sines and cosines, which hold for any number of frames.

    Source: Vaswani et al., Attention Is All You Need (2017).
    """
    time, hidden = of.shape[1:]
    steps = torch.arange(time, dtype=of.dtype, device=of.device).unsqueeze(1)
    rates = torch.arange(0, hidden, 2, dtype=of.dtype, device=of.device)
    angles = steps * torch.exp(rates * (-math.log(10000.0) / hidden))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)

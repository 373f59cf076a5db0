"""An image encoder on each frame, then a recurrent network over time."""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.frame_encoder import FrameNetwork


@final
class ViTGRU(FrameNetwork):
    """An encoder of the transformers library on each frame, and a GRU over the frames.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), for the
    GRU; Donahue et al., Long-term Recurrent Convolutional Networks (2015), for the two together.
    """

    @override
    def above(self, width: int) -> nn.Module:
        """The GRU."""
        return _LastState(nn.GRU(width, self.hidden, self.layers, batch_first=True))


class _LastState(nn.Module):
    def __init__(self, recurrent: nn.GRU) -> None:
        super().__init__()
        self.recurrent = recurrent

    @override
    def forward(
        self, embeddings: Float[Tensor, "batch time width"]
    ) -> Float[Tensor, "batch hidden"]:
        states: Tensor = self.recurrent(embeddings)[0]
        return states[:, -1]

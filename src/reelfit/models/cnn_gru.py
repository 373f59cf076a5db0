"""A CNN on each frame, and a recurrent unit that reads the frames in their order."""

from typing import final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.frame_convolutions import (
    Channels,
    frame_convolutions,
    half_the_channels,
    pooled_frames,
)
from reelfit.models.model import Network


@final
class CnnGru(Network):
    """Convolutions on each frame, their mean over space, and a GRU from the first to the last.

    Source: Donahue et al., Long-term Recurrent Convolutional Networks (2015), for a recurrent unit
    on a CNN's features; Cho et al., Learning Phrase Representations (2014), for the unit.
    """

    channels: Channels = Field(default=(32, 64, 128), min_length=1)
    """Channels of each block; each halves height and width. Multiples of 8."""
    hidden: int = Field(default=64, ge=8, multiple_of=8)
    """Numbers that the unit keeps from frame to frame. A multiple of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of the last frame's numbers that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return _CnnGru(self.channels, self.hidden, self.dropout, num_outputs)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The blocks, the unit, the head."""
        return depths_along(network, "frame", then=("time", "head"))

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block and half the unit, in multiples of 8."""
        channels, hidden = half_the_channels(self.channels), max(self.hidden // 16 * 8, 8)
        if channels is None and hidden == self.hidden:
            return None
        return self.model_copy(update={"channels": channels or self.channels, "hidden": hidden})


class _CnnGru(nn.Module):
    def __init__(self, channels: Channels, hidden: int, dropout: float, num_outputs: int) -> None:
        super().__init__()
        self.frame = frame_convolutions(3, channels)
        self.time = nn.GRU(channels[-1], hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        states, _ = self.time(pooled_frames(self.frame, clips))
        outputs: Tensor = self.head(self.dropout(states[:, -1]))
        return outputs

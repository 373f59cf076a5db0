"""A small CNN on each frame, averaged over time: what every other model must beat."""

from typing import final

from pydantic import Field
from torch import nn
from typing_extensions import override

from reelfit.models.frame_convolutions import Channels, FrameCNN, half_the_channels
from reelfit.models.model import Network


@final
class NaiveCNN(Network):
    """Convolutions on each frame by itself, then the mean over space and time."""

    channels: Channels = Field(default=(32, 64, 128), min_length=1)
    """Channels of each block; each halves height and width. Multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return FrameCNN(self.channels, self.dropout, num_outputs)

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block, in multiples of 8."""
        channels = half_the_channels(self.channels)
        return None if channels is None else self.model_copy(update={"channels": channels})

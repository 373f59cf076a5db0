"""A small CNN on the differences of adjacent frames: it sees what changes and nothing else."""

from typing import final

from pydantic import Field
from torch import nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.frame_convolutions import Channels, FrameCNN, half_the_channels
from reelfit.models.model import Network
from reelfit.models.motion import frame_differences


@final
class FrameDifferenceCNN(Network):
    """Convolutions on each frame less the one before it, then the mean over space and time.

    A clip of a single frame has nothing to tell it: all such clips have the same outputs.

    Source: Wang et al., Temporal Segment Networks (2016), for differences as an input.
    """

    channels: Channels = Field(default=(32, 64, 128), min_length=1)
    """Channels of each block; each halves height and width. Multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return FrameCNN(self.channels, self.dropout, num_outputs, see=frame_differences)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The blocks, the head."""
        return depths_along(network, "frame", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block, in multiples of 8."""
        channels = half_the_channels(self.channels)
        return None if channels is None else self.model_copy(update={"channels": channels})

"""Two CNNs side by side: one sees the frames, the other what moves between them."""

from typing import Literal, final

import torch
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
from reelfit.models.input_adapter import Needs
from reelfit.models.model import Network
from reelfit.models.motion import frame_differences, optical_flow

Motion = Literal["differences", "flow"]


@final
class TwoStream(Network):
    """A stream of frames and a stream of motion, both averaged over space and time, and one head.

    The paper trains the streams apart and averages their scores; these are trained together and
    their features stand side by side. Each motion is seen by itself, not ten of them stacked, so
    that clips may be of any length.

    Source: Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition (2014).
    """

    channels: Channels = Field(default=(32, 64, 128), min_length=1)
    """Channels of each block of both streams; each halves height and width. Multiples of 8."""
    motion: Motion = "differences"
    """What the second stream sees: each frame less the one before it, or the optical flow."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return _TwoStream(self.channels, self.motion, self.dropout, num_outputs)

    @override
    def needs(self) -> Needs:
        """Of the flow, pixels of the scale that its smoothness is weighed against."""
        return Needs(own_scale=self.motion == "flow")

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The blocks of both streams beside each other, then the head."""
        return depths_along(network, "frame", "change", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block, in multiples of 8."""
        channels = half_the_channels(self.channels)
        return None if channels is None else self.model_copy(update={"channels": channels})


class _TwoStream(nn.Module):
    def __init__(
        self, channels: Channels, motion: Motion, dropout: float, num_outputs: int
    ) -> None:
        super().__init__()
        self.motion = motion
        self.frame = frame_convolutions(3, channels)
        self.change = frame_convolutions(2 if motion == "flow" else 3, channels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * channels[-1], num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        changes = optical_flow(clips) if self.motion == "flow" else frame_differences(clips)
        both = [
            pooled_frames(stream, seen).mean(1)
            for stream, seen in ((self.frame, clips), (self.change, changes))
        ]
        outputs: Tensor = self.head(self.dropout(torch.cat(both, 1)))
        return outputs

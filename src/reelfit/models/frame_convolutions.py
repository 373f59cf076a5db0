"""What the networks share that look at each frame by itself before they look at time."""

from collections.abc import Callable
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

Channels = tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...]


def frame_convolutions(before: int, channels: Channels) -> nn.Sequential:
    """Convolutions on frames of ``before`` channels; each halves height and width."""
    blocks: list[nn.Module] = []
    for into, after in zip((before, *channels), channels, strict=False):
        blocks += [
            nn.Conv2d(into, after, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(8, after),
            nn.ReLU(),
        ]
    return nn.Sequential(*blocks)


def half_the_channels(channels: Channels) -> Channels | None:
    """Half of each, in multiples of 8; None where all of them are at their least."""
    halved = tuple(max(count // 16 * 8, 8) for count in channels)
    return None if halved == channels else halved


def pooled_frames(
    convolutions: nn.Module, frames: Float[Tensor, "batch time channel height width"]
) -> Float[Tensor, "batch time feature"]:
    """What the convolutions make of each frame by itself, its mean over space."""
    maps: Tensor = convolutions(frames.flatten(0, 1))
    return maps.mean((2, 3)).reshape(*frames.shape[:2], -1)


class FrameCNN(nn.Module):
    """Convolutions on each frame of what ``see`` makes of a clip, and their mean over time."""

    def __init__(
        self,
        channels: Channels,
        dropout: float,
        num_outputs: int,
        *,
        see: Callable[[Tensor], Tensor] = lambda clips: clips,
    ) -> None:
        super().__init__()
        self.see = see
        self.frame = frame_convolutions(3, channels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        """The outputs of each clip."""
        pooled = pooled_frames(self.frame, self.see(clips)).mean(1)
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

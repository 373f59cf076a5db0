"""A small CNN on each frame, averaged over time: what every other model must beat."""

from typing import Annotated, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.model import Network


@final
class NaiveCNN(Network):
    """Convolutions on each frame by itself, then the mean over space and time."""

    channels: tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...] = Field(
        default=(32, 64, 128), min_length=1
    )
    """Channels of each block; each halves height and width. Multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return _FrameCNN(self.channels, self.dropout, num_outputs)

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block, in multiples of 8."""
        channels = tuple(max(count // 16 * 8, 8) for count in self.channels)
        return None if channels == self.channels else self.model_copy(update={"channels": channels})


class _FrameCNN(nn.Module):
    def __init__(self, channels: tuple[int, ...], dropout: float, num_outputs: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            blocks += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.ReLU(),
            ]
        self.frame = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        maps = self.frame(clips.flatten(0, 1))
        pooled = maps.mean((2, 3)).unflatten(0, clips.shape[:2]).mean(1)
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

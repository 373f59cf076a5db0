"""R(2+1)D: residual blocks whose 3D convolutions are split into space and time."""

from typing import Annotated, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.model import Network


@final
class R2Plus1D(Network):
    """A residual network of (2+1)D convolutions, at a small width by default.

    Source: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (2018),
    with group norm for batch norm, so that micro-batches are exact.
    """

    width: int = Field(default=16, ge=8, multiple_of=8)
    """Channels of the first stage; each further stage doubles them (the paper has 64)."""
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 1, 1), min_length=1)
    """Residual blocks of each stage (the paper's 18-layer form is 2, 2, 2, 2)."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        widths = [self.width * 2**stage for stage in range(len(self.blocks))]
        layers: list[nn.Module] = [
            nn.Conv3d(3, self.width, (1, 7, 7), (1, 4, 4), (0, 3, 3), bias=False),
            nn.GroupNorm(8, self.width),
            nn.ReLU(),
        ]
        before = self.width
        for stage, (after, count) in enumerate(zip(widths, self.blocks, strict=True)):
            for block in range(count):
                layers.append(_Residual(before, after, stride=2 if stage and not block else 1))
                before = after
        return _Classifier(nn.Sequential(*layers), before, self.dropout, num_outputs)

    @override
    def smaller(self) -> "Network | None":
        """Half the width, in multiples of 8."""
        width = self.width // 16 * 8
        return self.model_copy(update={"width": width}) if width else None


class _Classifier(nn.Module):
    def __init__(self, body: nn.Module, width: int, dropout: float, num_outputs: int) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        maps = self.body(clips.transpose(1, 2))
        outputs: Tensor = self.head(self.dropout(maps.mean((2, 3, 4))))
        return outputs


def _split_convolution(before: int, after: int, stride: int) -> nn.Sequential:
    """A 3 x 3 x 3 convolution as one in space and one in time, with about as many weights."""
    between = (27 * before * after) // (9 * before + 3 * after) // 8 * 8 or 8
    return nn.Sequential(
        nn.Conv3d(before, between, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.GroupNorm(8, between),
        nn.ReLU(),
        nn.Conv3d(between, after, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        nn.GroupNorm(8, after),
    )


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _split_convolution(before, after, stride),
            nn.ReLU(),
            _split_convolution(after, after, 1),
        )
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv3d(before, after, 1, stride, bias=False), nn.GroupNorm(8, after)
            )
        )
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        outputs: Tensor = self.relu(self.body(maps) + self.shortcut(maps))
        return outputs

"""X3D: a thin network of depthwise 3D convolutions, expanded from a flat one."""

from typing import Final, Literal, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.model import Network
from reelfit.models.volume_convolutions import (
    PooledVolume,
    Residual,
    convolution,
    half_width,
    residual,
    scaled,
)

Size = Literal["small", "XS", "S", "M", "L"]
BLOCKS: Final[dict[Size, tuple[int, ...]]] = {
    "small": (1, 1, 2, 1),
    "XS": (3, 5, 11, 7),
    "S": (3, 5, 11, 7),
    "M": (3, 5, 11, 7),
    "L": (5, 10, 25, 15),
}
STEM: Final = 24
WIDENING: Final = 2.25
"""Channels within a block per channel between the blocks."""


@final
class X3D(Network):
    """Blocks whose one 3 x 3 x 3 convolution sees each channel by itself, small by default.

    XS, S and M are the same network: the paper gives them clips of 4 frames of 160 pixels, 13 of
    160 and 16 of 224 (L: 16 of 312), which here stand under ``clips``. Time is never thinned out.

    Source: Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition (2020), with
    group norm for batch norm, so that micro-batches are exact. Parameters for 400 classes as in
    pytorchvideo: 3.79 million, and 6.15 million for L.
    """

    size: Size = "small"
    """small (5 blocks, 512 numbers before the head), or the paper's XS, S, M or L."""
    width: float = Field(default=1.0, gt=0, le=4)
    """The factor of all channels, in multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of features before the head that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        before = scaled(STEM, self.width)
        layers: list[nn.Module] = [
            nn.Conv3d(3, before, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
            nn.Sequential(*convolution(before, before, (5, 1, 1), groups=before), nn.ReLU()),
        ]
        for stage, count in enumerate(BLOCKS[self.size]):
            after = scaled(STEM * 2**stage, self.width)
            for block in range(count):
                stride = 1 if block else 2
                layers.append(_block(before, after, stride=stride, squeezed=block % 2 == 0))
                before = after
        inner = int(before * WIDENING)
        layers.append(nn.Sequential(*convolution(before, inner), nn.ReLU()))
        last = scaled(512 if self.size == "small" else 2048, self.width)
        layers.append(_Projection(inner, last))
        return PooledVolume(nn.Sequential(*layers), last, self.dropout, num_outputs)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The first convolutions, the blocks, the last convolutions, the head."""
        return depths_along(network, "body", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the width, while 8 channels remain."""
        width = half_width(self.width, stem=STEM)
        return None if width is None else self.model_copy(update={"width": width})


def _block(before: int, after: int, *, stride: int, squeezed: bool) -> Residual:
    inner = int(after * WIDENING)
    strides = (1, stride, stride)
    body = nn.Sequential(
        *convolution(before, inner),
        nn.ReLU(),
        *convolution(inner, inner, (3, 3, 3), stride=strides, groups=inner),
        _Squeeze(inner) if squeezed else nn.Identity(),
        nn.SiLU(),
        *convolution(inner, after),
    )
    return residual(body, before, after, stride=strides)


class _Squeeze(nn.Module):
    """Weighs each channel by the mean of all; a sixteenth of them in between, in multiples of 8.

    Source: Hu et al., Squeeze-and-Excitation Networks (2018).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(int(channels / 16 + 4) // 8 * 8, 8)
        between += 8 if between < 0.9 * channels / 16 else 0
        self.weigh = nn.Sequential(
            nn.Linear(channels, between), nn.ReLU(), nn.Linear(between, channels), nn.Sigmoid()
        )

    def forward(
        self, maps: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel time height width"]:
        weights: Tensor = self.weigh(maps.mean((2, 3, 4)))
        return maps * weights[:, :, None, None, None]


class _Projection(nn.Module):
    """The mean over space and time, and more numbers made of it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after, bias=False)
        self.relu = nn.ReLU()

    def forward(
        self, maps: Float[Tensor, "batch before time height width"]
    ) -> Float[Tensor, "batch after 1 1 1"]:
        features: Tensor = self.relu(self.linear(maps.mean((2, 3, 4))))
        return features[:, :, None, None, None]

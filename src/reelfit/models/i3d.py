"""I3D: a network for pictures, each of its kernels inflated by an axis of time."""

from typing import Final, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.model import Network
from reelfit.models.volume_convolutions import (
    PooledVolume,
    Triple,
    bottleneck,
    convolution,
    half_width,
    max_pool,
    scaled,
)

Size = Literal["small", "inception", 50]
SMALL: Final = 0.25
"""The width of the small size, in that of Inception."""
STEM: Final = 64


class Mixed(NamedTuple):
    """Channels of an Inception module: its four branches, and what two of them begin with."""

    single: int
    before_triple: int
    triple: int
    before_other: int
    other: int
    pooled: int


MODULES: Final[tuple[tuple[Mixed, ...], ...]] = (
    (Mixed(64, 96, 128, 16, 32, 32), Mixed(128, 128, 192, 32, 96, 64)),
    (
        Mixed(192, 96, 208, 16, 48, 64),
        Mixed(160, 112, 224, 24, 64, 64),
        Mixed(128, 128, 256, 24, 64, 64),
        Mixed(112, 144, 288, 32, 64, 64),
        Mixed(256, 160, 320, 32, 128, 128),
    ),
    (Mixed(256, 160, 320, 32, 128, 128), Mixed(384, 192, 384, 48, 128, 128)),
)
RESNET_TIMES: Final = ((3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1))
"""Frames that each block of the 50 layers sees, stage by stage."""


@final
class I3D(Network):
    """Inception or ResNet-50 with kernels in time, small by default.

    The head stands on the mean over space and time; the paper's averages two frames and 7 x 7
    places at a stride of 1, and then its outputs over time, where the first and last frame count
    half. No pretrained pictures are inflated here: weights begin at random, and the blocks of size
    50 as their shortcuts.

    Source: Carreira and Zisserman, Quo Vadis, Action Recognition? (2017), with group norm for batch
    norm, so that micro-batches are exact; pytorchvideo's i3d_r50 for size 50, with its 28.04
    million parameters for 400 classes. Inception has 12.7: the published code's 12.3 and the head.
    """

    size: Size = "small"
    """small (the first module of each of Inception's three stages, at a quarter of the width),
    inception, or 50 (the layers of a ResNet)."""
    width: float = Field(default=1.0, gt=0, le=4)
    """The factor of all channels, in multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        if self.size == 50:
            body, features = _resnet(self.width)
        elif self.size == "inception":
            body, features = _inception(MODULES, self.width)
        else:
            first = tuple(modules[:1] for modules in MODULES)
            body, features = _inception(first, SMALL * self.width)
        return PooledVolume(nn.Sequential(*body), features, self.dropout, num_outputs)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The first convolutions, the modules or blocks, the head."""
        return depths_along(network, "body", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the width, while 8 channels remain."""
        stem = int(STEM * SMALL) if self.size == "small" else STEM
        width = half_width(self.width, stem=stem)
        return None if width is None else self.model_copy(update={"width": width})


def _inception(stages: tuple[tuple[Mixed, ...], ...], width: float) -> tuple[list[nn.Module], int]:
    first, before = scaled(STEM, width), scaled(3 * STEM, width)
    layers: list[nn.Module] = [
        nn.Sequential(*convolution(3, first, (7, 7, 7), stride=(2, 2, 2)), nn.ReLU()),
        max_pool((1, 3, 3), (1, 2, 2)),
        nn.Sequential(*convolution(first, first), nn.ReLU()),
        nn.Sequential(*convolution(first, before, (3, 3, 3)), nn.ReLU()),
        max_pool((1, 3, 3), (1, 2, 2)),
    ]
    for number, modules in enumerate(stages):
        if number:
            last = number == len(stages) - 1
            layers.append(_pool_by((2, 2, 2)) if last else max_pool((3, 3, 3), (2, 2, 2)))
        for module in modules:
            channels = Mixed(*(scaled(count, width) for count in module))
            layers.append(_Mixed(before, channels))
            before = channels.single + channels.triple + channels.other + channels.pooled
    return layers, before


def _pool_by(sizes: Triple) -> nn.Module:
    return nn.MaxPool3d(sizes, sizes, ceil_mode=True)  # else nothing is left of a single frame


class _Mixed(nn.Module):
    def __init__(self, before: int, channels: Mixed) -> None:
        super().__init__()
        self.single = nn.Sequential(*convolution(before, channels.single), nn.ReLU())
        self.triple = _two_convolutions(before, channels.before_triple, channels.triple)
        self.other = _two_convolutions(before, channels.before_other, channels.other)
        self.pooled = nn.Sequential(
            max_pool((3, 3, 3), (1, 1, 1)), *convolution(before, channels.pooled), nn.ReLU()
        )

    def forward(
        self, maps: Float[Tensor, "batch before time height width"]
    ) -> Float[Tensor, "batch after time height width"]:
        branches = (self.single, self.triple, self.other, self.pooled)
        return torch.cat([branch(maps) for branch in branches], 1)


def _two_convolutions(before: int, between: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        *convolution(before, between),
        nn.ReLU(),
        *convolution(between, after, (3, 3, 3)),
        nn.ReLU(),
    )


def _resnet(width: float) -> tuple[list[nn.Module], int]:
    before = scaled(STEM, width)
    layers: list[nn.Module] = [
        nn.Sequential(*convolution(3, before, (5, 7, 7), stride=(1, 2, 2)), nn.ReLU()),
        max_pool((1, 3, 3), (1, 2, 2)),
    ]
    for stage, times in enumerate(RESNET_TIMES):
        inner = scaled(STEM * 2**stage, width)
        if stage == 1:
            layers.append(_pool_by((2, 1, 1)))
        for block, time in enumerate(times):
            stride = 2 if stage and not block else 1
            layers.append(bottleneck(before, inner, 4 * inner, time=time, stride=stride))
            before = 4 * inner
    return layers, before

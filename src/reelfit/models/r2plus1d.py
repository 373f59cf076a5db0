"""R(2+1)D: residual blocks whose 3D convolutions are split into space and time."""

from typing import Annotated, Any, Final, Literal, final

from pydantic import Field, model_validator
from torch import nn
from typing_extensions import override

from reelfit.models.model import Network
from reelfit.models.volume_convolutions import (
    PooledVolume,
    Residual,
    begin_at_zero,
    convolution,
    group_norm,
    shortcut,
)

BLOCKS: Final = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@final
class R2Plus1D(Network):
    """A residual network of (2+1)D convolutions, at a small width by default.

    Source: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (2018),
    with group norm for batch norm, so that micro-batches are exact. Size 18 has the paper's 33.3
    million parameters for 400 classes, size 34 has 63.7; torchvision's r2plus1d_18 has 31.5, for it
    takes the channels between space and time of a block's first convolution for its second too.
    """

    width: int = Field(default=16, ge=8, multiple_of=8)
    """Channels of the first stage; each further stage doubles them. 64 at a size of the paper."""
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 1, 1), min_length=1)
    """Residual blocks of each stage; those of the size where one is given."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""
    size: Literal[18, 34] | None = None
    """The paper's form of 18 or 34 layers: its first convolution, split as well, blocks that begin
    as their shortcut, and its width and blocks but for those that are given."""

    @model_validator(mode="before")
    @classmethod
    def _fill_by_size(cls, options: Any) -> Any:
        if not isinstance(options, dict) or options.get("size") not in BLOCKS:
            return options
        return {"width": 64, "blocks": BLOCKS[options["size"]]} | options

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        as_in_paper = self.size is not None
        layers = [*_first_layers(self.width, as_in_paper=as_in_paper), nn.ReLU()]
        before = self.width
        for stage, count in enumerate(self.blocks):
            after = self.width * 2**stage
            for number in range(count):
                stride = 2 if stage and not number else 1
                layers.append(_block(before, after, stride, as_in_paper=as_in_paper))
                before = after
        return PooledVolume(nn.Sequential(*layers), before, self.dropout, num_outputs)

    @override
    def smaller(self) -> "Network | None":
        """Half the width, in multiples of 8."""
        width = self.width // 16 * 8
        return self.model_copy(update={"width": width}) if width else None


def _eight_groups(channels: int) -> nn.Module:
    return nn.GroupNorm(8, channels)


def _first_layers(width: int, *, as_in_paper: bool) -> list[nn.Module]:
    if not as_in_paper:
        return convolution(3, width, (1, 7, 7), stride=(1, 4, 4), norm=_eight_groups)
    return [
        *convolution(3, 45, (1, 7, 7), stride=(1, 2, 2)),
        nn.ReLU(),
        *convolution(45, width, (3, 1, 1)),
    ]


def _block(before: int, after: int, stride: int, *, as_in_paper: bool) -> Residual:
    multiple = 1 if as_in_paper else 8  # of channels in between, so that 8 groups are of one size
    body = nn.Sequential(
        _split_convolution(before, after, stride, multiple),
        nn.ReLU(),
        _split_convolution(after, after, 1, multiple),
    )
    if as_in_paper:
        begin_at_zero(body)
    strides = (stride, stride, stride)
    return Residual(body, shortcut(before, after, stride=strides, norm=_eight_groups))


def _split_convolution(before: int, after: int, stride: int, multiple: int) -> nn.Sequential:
    """A 3 x 3 x 3 convolution as one in space and one in time, with about as many weights."""
    between = (27 * before * after) // (9 * before + 3 * after) // multiple * multiple or 8
    inner = group_norm if multiple == 1 else _eight_groups
    return nn.Sequential(
        *convolution(before, between, (1, 3, 3), stride=(1, stride, stride), norm=inner),
        nn.ReLU(),
        *convolution(between, after, (3, 1, 1), stride=(stride, 1, 1), norm=_eight_groups),
    )

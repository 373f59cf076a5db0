"""R3D: a residual network whose convolutions look at space and time at once."""

from typing import Final, Literal, final

from pydantic import Field
from torch import nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.model import Network
from reelfit.models.volume_convolutions import (
    PooledVolume,
    convolution,
    half_width,
    residual,
    scaled,
)

Size = Literal["small", 18, 34]
BLOCKS: Final[dict[Size, tuple[int, ...]]] = {
    "small": (1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
}


@final
class R3D(Network):
    """Residual blocks of 3 x 3 x 3 convolutions, small by default.

    Source: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (2018),
    with group norm for batch norm, so that micro-batches are exact. Size 18 has as many parameters
    as torchvision's r3d_18 (33.4 million for 400 classes).
    """

    size: Size = "small"
    """small (16 channels at first, 3 blocks, a stride of 4 at first), or the paper's 18 or 34
    layers (64 channels at first)."""
    width: float = Field(default=1.0, gt=0, le=4)
    """The factor of all channels; they stay multiples of 8."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        first = scaled(self._stem(), self.width)
        step = 4 if self.size == "small" else 2
        layers = [*convolution(3, first, (3, 7, 7), stride=(1, step, step)), nn.ReLU()]
        before = first
        for stage, count in enumerate(BLOCKS[self.size]):
            after = scaled(self._stem() * 2**stage, self.width)
            for block in range(count):
                layers.append(_block(before, after, stride=2 if stage and not block else 1))
                before = after
        return PooledVolume(nn.Sequential(*layers), before, self.dropout, num_outputs)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The first convolution, the blocks, the head."""
        return depths_along(network, "body", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the width, while 8 channels remain."""
        width = half_width(self.width, stem=self._stem())
        return None if width is None else self.model_copy(update={"width": width})

    def _stem(self) -> int:
        return 16 if self.size == "small" else 64


def _block(before: int, after: int, *, stride: int) -> nn.Module:
    body = nn.Sequential(
        *convolution(before, after, (3, 3, 3), stride=(stride, stride, stride)),
        nn.ReLU(),
        *convolution(after, after, (3, 3, 3)),
    )
    return residual(body, before, after, stride=(stride, stride, stride))

"""What the networks share that look at space and time at once."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

Triple = tuple[int, int, int]
"""In time, height and width."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Of up to 8 groups of at least 4 channels: fewer have little to tell where maps are small."""
    most = max(min(8, channels // 4), 1)
    return nn.GroupNorm(max(n for n in range(1, most + 1) if channels % n == 0), channels)


def scaled(channels: int, width: float) -> int:
    """``width`` times as many channels, in multiples of 8; as they are where it is 1."""
    return channels if width == 1 else max(round(channels * width / 8) * 8, 8)


def half_width(width: float, *, stem: int) -> float | None:
    """Half the factor, while the first layer of ``stem`` channels keeps 8 of them."""
    return width / 2 if stem * width / 2 >= 8 else None


def convolution(
    before: int,
    after: int,
    kernel: Triple = (1, 1, 1),
    *,
    stride: Triple = (1, 1, 1),
    groups: int = 1,
    norm: Callable[[int], nn.Module] = group_norm,
) -> list[nn.Module]:
    """A convolution that keeps sizes but for its stride, and its norm."""
    time, height, width = (size // 2 for size in kernel)
    return [
        nn.Conv3d(before, after, kernel, stride, (time, height, width), groups=groups, bias=False),
        norm(after),
    ]


def max_pool(kernel: Triple, stride: Triple) -> nn.MaxPool3d:
    """Of odd kernels, so that maps of any size have at least one place left."""
    time, height, width = (size // 2 for size in kernel)
    return nn.MaxPool3d(kernel, stride, (time, height, width))


class Residual(nn.Module):
    """Adds what ``body`` makes of its input to it, or to what ``shortcut`` makes of it."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(
        self, maps: Float[Tensor, "batch before time height width"]
    ) -> Float[Tensor, "batch after low_time low_height low_width"]:
        """The sum, without its negative part."""
        outputs: Tensor = self.relu(self.body(maps) + self.shortcut(maps))
        return outputs


def residual(
    body: nn.Sequential,
    before: int,
    after: int,
    *,
    stride: Triple,
) -> Residual:
    """A block of this body, whose last layer is a norm, that begins as its shortcut.

    Source: Goyal et al., Accurate, Large Minibatch SGD (2017), for the zeros in the last norm.
    """
    begin_at_zero(body)
    return Residual(body, shortcut(before, after, stride=stride))


def begin_at_zero(body: nn.Module) -> None:
    """A body that ends in a norm gives zeros, until it has learnt."""
    *_, last = body.modules()
    assert isinstance(last, nn.GroupNorm)
    nn.init.zeros_(last.weight)


def shortcut(
    before: int,
    after: int,
    *,
    stride: Triple,
    norm: Callable[[int], nn.Module] = group_norm,
) -> nn.Module:
    """The input as it is, or a convolution where the sizes differ."""
    if before == after and stride == (1, 1, 1):
        return nn.Identity()
    return nn.Sequential(*convolution(before, after, stride=stride, norm=norm))


def bottleneck(before: int, inner: int, after: int, *, time: int, stride: int) -> Residual:
    """A block of three convolutions: over ``time`` frames, over space, and over neither.

    Source: Feichtenhofer et al., SlowFast Networks (2019), for where time stands in it.
    """
    body = nn.Sequential(
        *convolution(before, inner, (time, 1, 1)),
        nn.ReLU(),
        *convolution(inner, inner, (1, 3, 3), stride=(1, stride, stride)),
        nn.ReLU(),
        *convolution(inner, after),
    )
    return residual(body, before, after, stride=(1, stride, stride))


class PooledVolume(nn.Module):
    """What ``body`` makes of a clip, its mean over space and time, and the head."""

    def __init__(self, body: nn.Module, width: int, dropout: float, num_outputs: int) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        """The outputs of each clip."""
        maps = self.body(clips.transpose(1, 2))
        outputs: Tensor = self.head(self.dropout(maps.mean((2, 3, 4))))
        return outputs

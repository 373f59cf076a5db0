"""SlowFast: a wide network on few frames, and a thin one on all of them that informs it."""

from typing import Final, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.model import Network
from reelfit.models.volume_convolutions import (
    bottleneck,
    convolution,
    group_norm,
    half_width,
    max_pool,
    scaled,
)

Size = Literal["small", 50, 101]
Lateral = Literal["plain", "attention", "multi_scale"]
Fast = Float[Tensor, "batch fast_channel time height width"]
Slow = Float[Tensor, "batch slow_channel slow_time height width"]
Told = Float[Tensor, "batch told_channel slow_time height width"]
SLOWNESS: Final = 4
"""The slow path sees each fourth frame."""
SLOW_TIMES: Final = (1, 1, 3, 3)
"""Frames that each block of a stage of the slow path sees; of the fast path all see 3."""


class _Form(NamedTuple):
    stem: int
    thinness: int
    """Channels of the slow path per channel of the fast one."""
    lateral_time: int
    blocks: tuple[int, ...]


FORMS: Final[dict[Size, _Form]] = {
    "small": _Form(stem=16, thinness=4, lateral_time=5, blocks=(1, 1, 1, 1)),
    50: _Form(stem=64, thinness=8, lateral_time=7, blocks=(3, 4, 6, 3)),
    101: _Form(stem=64, thinness=8, lateral_time=5, blocks=(3, 4, 23, 3)),
}


@final
class SlowFast(Network):
    """Two residual networks, of which the fast one tells the slow one after each stage.

    Source: Feichtenhofer et al., SlowFast Networks for Video Recognition (2019), with group norm
    for batch norm, so that micro-batches are exact. With plain laterals and 400 classes, sizes 50
    and 101 have the parameters of pytorchvideo's slowfast_r50 (34.57 million) and slowfast_r101
    (62.83). The other laterals are not the paper's.
    """

    size: Size = "small"
    """small (one block in each stage, a quarter of the width), or the paper's 50 or 101 layers."""
    width: float = Field(default=1.0, gt=0, le=4)
    """The factor of all channels; those of the slow path stay multiples of 8."""
    lateral: Lateral = "plain"
    """How the fast path tells the slow one: by a convolution that thins out time; attention also
    weighs its channels by the means of both paths; multi_scale has convolutions of three spans of
    time (3, 5 and 9 frames) side by side."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return _SlowFast(FORMS[self.size], self.width, self.lateral, self.dropout, num_outputs)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The stages of both paths and what joins them beside each other, then the head."""
        return depths_along(network, "slow", "fast", "laterals", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the width, while the slow path's first layer has 8 channels."""
        width = half_width(self.width, stem=FORMS[self.size].stem)
        return None if width is None else self.model_copy(update={"width": width})


class _SlowFast(nn.Module):
    def __init__(
        self, form: _Form, width: float, lateral: Lateral, dropout: float, num_outputs: int
    ) -> None:
        super().__init__()
        slow = slow_stem = scaled(form.stem, width)
        fast = fast_stem = max(slow // form.thinness, 4)
        self.slow = nn.ModuleList([_stem(slow, time=1)])
        self.fast = nn.ModuleList([_stem(fast, time=5)])
        self.laterals = nn.ModuleList()
        for stage, count in enumerate(form.blocks):
            self.laterals.append(_make_lateral(lateral, fast, slow, form.lateral_time))
            slow += 2 * fast
            stride = 2 if stage else 1
            inner = slow_stem * 2**stage
            self.slow.append(_stage(slow, inner, count, time=SLOW_TIMES[stage], stride=stride))
            slow, inner = 4 * inner, fast_stem * 2**stage
            self.fast.append(_stage(fast, inner, count, time=3, stride=stride))
            fast = 4 * inner
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(slow + fast, num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        fast = clips.transpose(1, 2)
        slow = self.slow[0](fast[:, :, ::SLOWNESS])
        fast = self.fast[0](fast)
        for slow_stage, fast_stage, lateral in zip(
            self.slow[1:], self.fast[1:], self.laterals, strict=True
        ):
            slow = slow_stage(torch.cat([slow, lateral(fast, slow)], 1))
            fast = fast_stage(fast)
        features = torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1)
        outputs: Tensor = self.head(self.dropout(features))
        return outputs


def _stem(channels: int, *, time: int) -> nn.Sequential:
    layers = convolution(3, channels, (time, 7, 7), stride=(1, 2, 2))
    return nn.Sequential(*layers, nn.ReLU(), max_pool((1, 3, 3), (1, 2, 2)))


def _stage(before: int, inner: int, count: int, *, time: int, stride: int) -> nn.Sequential:
    after = 4 * inner
    first = bottleneck(before, inner, after, time=time, stride=stride)
    further = [bottleneck(after, inner, after, time=time, stride=1) for _ in range(count - 1)]
    return nn.Sequential(first, *further)


def _make_lateral(kind: Lateral, fast: int, slow: int, time: int) -> nn.Module:
    if kind == "attention":
        return _AttendedLateral(fast, slow, time)
    return _MultiScaleLateral(fast) if kind == "multi_scale" else _PlainLateral(fast, time)


class _PlainLateral(nn.Module):
    def __init__(self, fast: int, time: int) -> None:
        super().__init__()
        thinning = convolution(fast, 2 * fast, (time, 1, 1), stride=(SLOWNESS, 1, 1))
        self.tell = nn.Sequential(*thinning, nn.ReLU())

    def forward(self, fast: Fast, slow: Slow) -> Told:
        del slow
        told: Tensor = self.tell(fast)
        return told


class _AttendedLateral(nn.Module):
    """Weighs what the fast path tells by the means of it and of the slow path.

    Source: Hu et al., Squeeze-and-Excitation Networks (2018), for the weights.
    """

    def __init__(self, fast: int, slow: int, time: int) -> None:
        super().__init__()
        self.tell = _PlainLateral(fast, time)
        self.weigh = nn.Sequential(
            nn.Linear(slow + 2 * fast, 2 * fast),
            nn.ReLU(),
            nn.Linear(2 * fast, 2 * fast),
            nn.Sigmoid(),
        )

    def forward(self, fast: Fast, slow: Slow) -> Told:
        told: Tensor = self.tell(fast, slow)
        means = torch.cat([slow.mean((2, 3, 4)), told.mean((2, 3, 4))], 1)
        weights = self.weigh(means)
        weighed: Tensor = told * weights[:, :, None, None, None]
        return weighed


class _MultiScaleLateral(nn.Module):
    """Convolutions over 3, 5 and 9 frames, by kernels of 3 with gaps of 1, 2 and 4.

    Source: Chen et al., Rethinking Atrous Convolution (2017), for gaps side by side.
    """

    def __init__(self, fast: int) -> None:
        super().__init__()
        shares = (2 * fast - 2 * (fast // 2), fast // 2, fast // 2)
        self.spans = nn.ModuleList(
            nn.Conv3d(
                fast, share, (3, 1, 1), (SLOWNESS, 1, 1), (gap, 0, 0), (gap, 1, 1), bias=False
            )
            for share, gap in zip(shares, (1, 2, 4), strict=True)
        )
        self.norm = group_norm(2 * fast)
        self.relu = nn.ReLU()

    def forward(self, fast: Fast, slow: Slow) -> Told:
        del slow
        told: Tensor = self.relu(self.norm(torch.cat([span(fast) for span in self.spans], 1)))
        return told

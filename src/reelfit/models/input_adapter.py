"""Clips as a network needs them: so many frames, of its size and colours, made of those stored."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override


@dataclass(frozen=True)
class Needs:
    """What a network needs of a clip; None is whatever comes.

    Pixels from 0 to 1 are normalised by ``mean`` and ``std``; halves leave -1..1 as they are.
    """

    frames: int | None = None
    size: tuple[int, int] | None = None
    """Height and width."""
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    own_scale: bool = False
    """Whether -1 and 1 have to be black and full light for it: it is given no other pixels."""

    def changes(self, *, frames: int, size: tuple[int, int]) -> dict[str, list[object]]:
        """What becomes of clips of this shape: each thing that changes, before and after."""
        found: dict[str, list[object]] = {}
        if self.frames not in (None, frames):
            found["frames"] = [frames, self.frames]
        if self.size not in (None, size):
            found["size"] = [list(size), list(self.size or size)]
        return found


@final
class InputAdapter(nn.Module):
    """Clips in -1..1 of any shape as one network needs them, without another decode.

    Frames and sizes are interpolated by matrices, which are the same on every device and whose
    gradient is as well. Memory: the clip as it comes, as it goes, and once between.
    """

    def __init__(self, needs: Needs) -> None:
        super().__init__()
        self.needs = needs

    @override
    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch frames 3 rows columns"]:
        needs, frames = self.needs, self.needs.frames or clips.shape[1]
        height, width = needs.size or clips.shape[3:]
        # half precision would cost a pixel its last bits
        with nullcontext() if clips.is_meta else torch.autocast(clips.device.type, enabled=False):
            clips = _resized(clips, 1, min(frames, clips.shape[1]))  # first where there are fewer
            clips = _resized(_resized(clips, 4, width), 3, height)
            clips = _resized(clips, 1, frames)
            return self._normalised(clips)

    def _normalised(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch time 3 height width"]:
        needs = self.needs
        if (needs.mean, needs.std) == (Needs.mean, Needs.std):
            return clips
        mean, std = (clips.new_tensor(each).view(3, 1, 1) for each in (needs.mean, needs.std))
        return clips * (0.5 / std) + (0.5 - mean) / std


def _resized(
    clips: Float[Tensor, "batch time 3 height width"], axis: int, length: int
) -> Float[Tensor, "batch frames 3 rows columns"]:
    if clips.shape[axis] == length:
        return clips
    matrix = interpolation(clips.shape[axis], length).to(clips)
    return nn.functional.linear(clips.movedim(axis, -1), matrix).movedim(-1, axis)


def interpolation(before: int, after: int) -> Float[Tensor, "after before"]:
    """The weights by which ``after`` values are made of ``before``, evenly spaced over one length.

    Source: bilinear interpolation with antialiasing as torch and Pillow have it: a triangle as wide
    as the coarser of both spacings, centred on the middles of cells.
    """
    scale = before / after
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * scale
    middles = torch.arange(before, dtype=torch.float64) + 0.5
    weights = (1 - (middles - centres.unsqueeze(1)).abs() / max(scale, 1.0)).clamp_(min=0)
    return weights / weights.sum(1, keepdim=True)

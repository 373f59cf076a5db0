"""Resolution drop: what a smaller picture keeps of a larger one."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias, final

import numpy as np
import torch
from jaxtyping import Int32, Int64, UInt8
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames

_WEIGHT_BITS = 14
_BETWEEN_BITS = 4

_Taps: TypeAlias = list[tuple[Int64[Tensor, " length"], Int32[Tensor, " length"]]]


@final
class ResolutionDrop(ClipAugmentation):
    """Made smaller, and as large as before again.

    Strength is the largest share that the sides lose (0..0.95): 0.5 leaves between half and all of
    the pixels on each side. Bilinear both ways, antialiased on the way down.
    """

    max_strength = 0.95
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``share`` of the sides that is left, even over 1 - strength..1."""
        return {"share": generator.uniform(1 - strength, 1)}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip without its finer detail; at least one pixel is left of it."""
        height, width = frames.shape[-2:]
        rows, columns = (max(1, round(drawn["share"] * side)) for side in (height, width))
        small = _resized(frames, height=rows, width=columns)
        return _resized(small, height=height, width=width)


def _resized(
    frames: Frames, *, height: int, width: int
) -> UInt8[Tensor, "time 3 new_height new_width"]:
    """Rows, then columns as rows of the picture laid on its side, for whole rows are picked fast.

    1/16 of a level is kept between the two: 32 bits hold that times a weight, summed.
    """
    by_row, by_column = (
        _taps(before, after, device=frames.device)
        for before, after in zip(frames.shape[-2:], (height, width), strict=True)
    )
    resized = frames.new_empty((len(frames), 3, height, width))
    for some, out in zip(torch.split(frames, 2), torch.split(resized, 2), strict=True):
        tall = _rows(some.int(), by_row, drop_bits=_WEIGHT_BITS - _BETWEEN_BITS)
        on_side = tall.transpose(-1, -2).contiguous()
        wide = _rows(on_side, by_column, drop_bits=_WEIGHT_BITS + _BETWEEN_BITS)
        out.copy_(wide.to(torch.uint8).transpose(-1, -2))
    return resized


def _rows(
    frames: Int32[Tensor, "time 3 height width"], taps: _Taps, *, drop_bits: int
) -> Int32[Tensor, "time 3 length width"]:
    time, _, _, width = frames.shape
    total = frames.new_full((time, 3, len(taps[0][0]), width), 1 << (drop_bits - 1))
    for places, weights in taps:
        total.add_(frames.index_select(-2, places).mul_(weights[:, None]))
    return total.bitwise_right_shift_(drop_bits)


def _taps(before: int, after: int, *, device: torch.device) -> _Taps:
    """For each pixel afterwards, which pixels before it is made of, and their shares of 1/16384.

    A triangle about the pixel's centre, as wide as two pixels of the coarser picture; at the border
    it is cut, and what is left of it weighs one. The sum is exactly one.
    """
    reach = max(before / after, 1.0)
    rows: list[tuple[list[int], list[int]]] = []
    for pixel in range(after):
        centre = (pixel + 0.5) * before / after - 0.5
        first, last = max(math.ceil(centre - reach), 0), min(math.floor(centre + reach), before - 1)
        heights = [max(1 - abs(k - centre) / reach, 0.0) for k in range(first, last + 1)]
        weights = [round(value / sum(heights) * (1 << _WEIGHT_BITS)) for value in heights]
        weights[weights.index(max(weights))] += (1 << _WEIGHT_BITS) - sum(weights)
        rows.append((list(range(first, last + 1)), weights))
    most = max(len(weights) for _, weights in rows)
    filled = [(p + p[-1:] * (most - len(p)), w + [0] * (most - len(w))) for p, w in rows]
    return [
        (
            torch.tensor([places[tap] for places, _ in filled], device=device),
            torch.tensor([weights[tap] for _, weights in filled], dtype=torch.int32, device=device),
        )
        for tap in range(most)
    ]

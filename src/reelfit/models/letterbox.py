"""The bars of a letterboxed clip: found by its pixels, and kept out of what a network computes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@torch.no_grad()
def picture_area(
    clips: Float[Tensor, "batch time 3 height width"], *, black: float, least: int
) -> Bool[Tensor, "batch height width"]:
    """Where each clip shows its picture: all but rows and columns at its borders that stay black.

    Black is what no channel of any frame raises above ``black`` (-1 is none, 1 full light). A clip
    whose picture would be less than ``least`` rows or columns, such as a black one, is all picture.
    """
    dark = clips.amax((1, 2)) <= black
    rows, columns = _between_bars(dark.all(2)), _between_bars(dark.all(1))
    found = (rows.sum(1) >= least) & (columns.sum(1) >= least)
    return (rows[:, :, None] & columns[:, None, :]) | ~found[:, None, None]


def _between_bars(dark: Bool[Tensor, "batch line"]) -> Bool[Tensor, "batch line"]:
    first = dark.long().cumprod(1)
    last = dark.flip(1).long().cumprod(1).flip(1)
    return (first + last) == 0


class PictureNorm(nn.Module):
    """Group norm whose mean and variance are those of the picture; 0 outside of it."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self,
        maps: Float[Tensor, "frame channel height width"],
        picture: Bool[Tensor, "frame height width"],
    ) -> Float[Tensor, "frame channel height width"]:
        """The maps, normalised."""
        frames, _, height, width = maps.shape
        grouped = maps.to(self.weight.dtype).reshape(frames, self.groups, -1, height, width)
        seen = picture[:, None, None].to(grouped.dtype)
        count = seen.sum((2, 3, 4), keepdim=True) * grouped.shape[2]
        centred = grouped - (grouped * seen).sum((2, 3, 4), keepdim=True) / count
        variance = (centred.square() * seen).sum((2, 3, 4), keepdim=True) / count
        normal = (centred * (variance + 1e-5).rsqrt()).reshape(maps.shape)
        scaled: Tensor = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled * picture[:, None]

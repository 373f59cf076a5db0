"""What moves between adjacent frames: their differences, or the optical flow."""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

FLOW_SIDE = 56
"""Pixels of the longer side at which the flow is found, at most."""
FLOW_ITERATIONS = 32
FLOW_SMOOTHNESS = 0.001
"""The weight of the flow's smoothness (alpha squared) beside squared slopes of a picture in -1..1;
larger is smoother and slower to follow."""

Clips = Float[Tensor, "batch time 3 height width"]


def frame_differences(clips: Clips) -> Float[Tensor, "batch between 3 height width"]:
    """Each frame less the one before it; zeros for a clip of a single frame."""
    return clips - clips if clips.shape[1] == 1 else clips[:, 1:] - clips[:, :-1]


@torch.no_grad()
def optical_flow(clips: Clips) -> Float[Tensor, "batch between 2 low_height low_width"]:
    """Where each place moves until the next frame, right and down, in pixels of a small picture.

    A fixed number of iterations at one resolution: motion of more than two or three of its pixels
    is underrated. Without a gradient, and the same whatever other clips there are beside.

    Source: Horn and Schunck, Determining Optical Flow (1981).
    """
    height, width = clips.shape[-2:]
    factor = -(-max(height, width) // FLOW_SIDE)
    grey = F.avg_pool2d(clips.mean(2), factor, ceil_mode=True)
    grey = _around(grey) / 2 + grey / 2
    first, second = (grey, grey) if grey.shape[1] == 1 else (grey[:, :-1], grey[:, 1:])
    wide = F.pad((first + second) / 2, (1, 1, 1, 1), "replicate")
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    later = second - first
    steepness = FLOW_SMOOTHNESS + right.square() + down.square()
    across, along = torch.zeros_like(later), torch.zeros_like(later)
    for _ in range(FLOW_ITERATIONS):
        across, along = _around(across), _around(along)
        missed = (right * across + down * along + later) / steepness
        across, along = across - right * missed, along - down * missed
    return torch.stack([across, along], dim=2)


def _around(
    values: Float[Tensor, "batch between height width"],
) -> Float[Tensor, "batch between height width"]:
    """The weighted mean of the eight neighbours, as Horn and Schunck have it."""
    wide = F.pad(values, (1, 1, 1, 1), "replicate")
    above, below = wide[..., :-2, :], wide[..., 2:, :]
    vertical = above + below
    edges = vertical[..., 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
    corners = vertical[..., :-2] + vertical[..., 2:]
    return edges / 6 + corners / 12

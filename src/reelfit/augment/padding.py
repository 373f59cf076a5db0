"""Pictures made larger until their sides suit a codec."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from reelfit.augment.augmentation import Frames


def padded(frames: Frames, *, multiple: int) -> UInt8[Tensor, "time 3 padded_height padded_width"]:
    """Sides that are multiples of so many pixels, by repeating the last row and column."""
    height, width = frames.shape[-2:]
    if height % multiple == width % multiple == 0:
        return frames
    rows, columns = (
        torch.arange(-(-side // multiple) * multiple, device=frames.device).clamp_(max=side - 1)
        for side in (height, width)
    )
    return frames[..., rows[:, None], columns]

"""In which order the clips of an epoch are seen, and how often each."""

from typing import Literal

import numpy as np
from jaxtyping import Int64

from reelfit.data.batches import balanced_order, epoch_order
from reelfit.data.seeds import seed_for
from reelfit.training.predicting import ClipSet

Balance = Literal["none", "class_weights", "sampling", "group_sampling"]


def order_of(
    clips: ClipSet, *, balance: Balance, seed: int, epoch: int
) -> Int64[np.ndarray, " clip"]:
    """Every clip once, or as many as there are with each class, and each group, equally often."""
    seed = seed_for(seed, "order of clips")
    if balance in ("sampling", "group_sampling"):
        groups = clips.groups if balance == "group_sampling" else None
        return balanced_order(clips.targets, seed=seed, epoch=epoch, groups=groups)
    return epoch_order(len(clips.targets), seed=seed, epoch=epoch)

"""Augmentation when a clip is read, for stores that hold originals alone."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8

from reelfit.augment import apply_augmentation, draw_augmentation
from reelfit.data.batches import Change
from reelfit.data.seeds import clip_generator


@dataclass(frozen=True)
class OnlineAugmentation:
    """In each epoch other copies of each video: a function of (seed, video, epoch) alone.

    The first epoch sees the very copies that a store of copies would hold.
    """

    strengths: dict[str, float]
    seed: int
    copies: int
    """Of each video in an epoch, beside the original."""
    video_ids: list[str]
    """By the row of the manifest."""
    numbers: Int[np.ndarray, " clip"]
    """Which copy of its video a row is; 0 is the original."""

    def in_epoch(self, epoch: int) -> Change:
        """What is done to the clips of an epoch, counted from 0. Memory: about 8 times a clip."""

        def change(
            row: int, pixels: UInt8[np.ndarray, "time 3 height width"]
        ) -> UInt8[np.ndarray, "time 3 height width"]:
            if self.numbers[row] == 0:
                return pixels
            copy = epoch * self.copies + int(self.numbers[row])
            generator = clip_generator(self.seed, self.video_ids[row], copy)
            drawn = draw_augmentation(self.strengths, generator=generator, num_frames=len(pixels))
            changed: np.ndarray = apply_augmentation(torch.from_numpy(pixels), drawn).numpy()
            return changed

        return change

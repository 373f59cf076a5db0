"""Mixup and cutmix over clips: drawn for a whole optimizer step, applied sample by sample."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from reelfit.data.seeds import generator_for
from reelfit.training.predicting import to_input
from reelfit.training.settings import TrainSettings


@dataclass(frozen=True)
class Mixture:
    """Of each sample of a step: its partner in the same step, its own share, and where it is cut.

    Mixup blends two clips, ``shares`` of the one and the rest of the other. Cutmix replaces one box
    (top, bottom, left, right) in all frames of a clip by the partner's; the share is what is left
    of the clip. A box without area is mixup.

    Source: Zhang et al., mixup (2018); Yun et al., CutMix (2019); Yun et al., VideoMix (2020), for
    the box that is the same in all frames.
    """

    partners: Int64[np.ndarray, " batch"]
    """Positions in the effective batch, of whatever part of it the rest is."""
    shares: Float64[np.ndarray, " batch"]
    boxes: Int64[np.ndarray, "batch 4"]

    def part(self, begin: int, end: int) -> "Mixture":
        """Of the samples from ``begin`` to before ``end``; their partners stay what they are."""
        return Mixture(self.partners[begin:end], self.shares[begin:end], self.boxes[begin:end])

    def mix_targets(self, targets: Float[Tensor, "batch output"]) -> Float[Tensor, "batch output"]:
        """The targets of a whole step, each blended with its partner's."""
        shares = torch.from_numpy(self.shares).to(targets).unsqueeze(1)
        return shares * targets + (1 - shares) * targets[torch.from_numpy(self.partners)]

    def mix_inputs(
        self,
        inputs: Float[Tensor, "batch time 3 height width"],
        whole: UInt8[Tensor, "step time 3 height width"],
    ) -> None:
        """Mixes ``inputs`` in place with partners out of the clips of the ``whole`` step.

        Memory: one clip in the type of ``inputs``, whose bytes lie in ``whole`` already.
        """
        for place, (top, bottom, left, right) in enumerate(self.boxes.tolist()):
            row, share = int(self.partners[place]), float(self.shares[place])
            if bottom > top and right > left:
                cut = whole[row : row + 1, ..., top:bottom, left:right]
                inputs[place, ..., top:bottom, left:right] = to_input(cut, inputs.device)[0]
            elif share < 1:
                partner = to_input(whole[row : row + 1], inputs.device)[0]
                inputs[place].mul_(share).add_(partner, alpha=1 - share)


@dataclass(frozen=True)
class Mixed:
    """The mixture of some samples, and the clips of the whole step that their partners are in."""

    of: Mixture
    whole: UInt8[Tensor, "step time 3 height width"]


@dataclass(frozen=True)
class Mixing:
    """How strongly clips are mixed; where both are given, chance takes one of them for each sample.

    Shares are drawn from a beta distribution whose two parameters are both ``mixup`` or ``cutmix``:
    at 1 all shares are as likely, below 1 most are near 0 or 1.
    """

    seed: int
    mixup: float | None
    cutmix: float | None

    @classmethod
    def asked_by(cls, settings: TrainSettings, *, seed: int) -> "Mixing | None":
        """What a study asks for; None where it is nothing."""
        if settings.mixup is None and settings.cutmix is None:
            return None
        return cls(seed, settings.mixup, settings.cutmix)

    def draw(self, *, epoch: int, position: int, samples: int, size: tuple[int, int]) -> Mixture:
        """The mixture of the step whose samples start at ``position`` of the epoch's order.

        It depends on nothing else: not on the micro-batch, and not on the steps before. Every
        sample is the partner of one other; a sample that is alone in its step stays as it is.
        """
        generator = generator_for(self.seed, "mixing", epoch, position)
        ring = generator.permutation(samples)
        partners = np.empty(samples, dtype=np.int64)
        partners[ring] = np.roll(ring, -1)
        cuts = generator.random(samples) < 0.5
        if self.mixup is None or self.cutmix is None:
            cuts[:] = self.mixup is None
        strengths = np.where(cuts, self.cutmix or 1.0, self.mixup or 1.0)
        shares = generator.beta(strengths, strengths)
        centres = generator.random((samples, 2))
        boxes = _boxes(1 - shares, centres, size)
        boxes[~cuts] = 0
        areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        shares[cuts] = 1 - areas[cuts] / (size[0] * size[1])
        if samples == 1:
            shares[:], boxes[:] = 1, 0
        return Mixture(partners, shares, boxes)


def _boxes(
    areas: Float64[np.ndarray, " batch"],
    centres: Float64[np.ndarray, "batch 2"],
    size: tuple[int, int],
) -> Int64[np.ndarray, "batch 4"]:
    """Boxes of the frame's shape around each centre, cut off where the frame ends."""
    sides = np.array(size)
    half = np.sqrt(areas)[:, None] * sides / 2
    begin = np.clip(np.rint(centres * sides - half), 0, sides)
    end = np.clip(np.rint(centres * sides + half), 0, sides)
    return np.stack([begin, end], axis=2).reshape(len(areas), 4).astype(np.int64)


def mixed_batch(
    clips: UInt8[Tensor, "batch time 3 height width"],
    targets: Float[Tensor, "batch output"],
    mixture: Mixture,
) -> tuple[Tensor, Tensor, Mixed]:
    """The batch of a step with its targets mixed; pixels are mixed when they become an input."""
    return clips, mixture.mix_targets(targets), Mixed(mixture, clips)


def take_mixed(batch: Any, begin: int, end: int) -> Any:
    """Some samples of such a batch, which can be cut again. Memory: none of its own."""
    clips, targets, mixed = batch
    return clips[begin:end], targets[begin:end], replace(mixed, of=mixed.of.part(begin, end))


def as_input(part: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels and targets of some samples as the network gets them, mixed where they are to be."""
    clips, targets, *mixed = part
    inputs = to_input(clips, device)
    for each in mixed:
        each.of.mix_inputs(inputs, each.whole)
    return inputs, targets.to(device)

"""Masked video modelling for any encoder: tubes of a clip are hidden, and told from the rest."""

from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

EPSILON: Final = 1e-4
"""Added to the variance of a clip's cells (of levels in -1..1): one without structure has targets
near zero, not amplified noise."""

DRAWN_AT_ONCE: Final = 4096
"""Clips whose tubes are ordered at once."""


def draw_tubes(
    count: int, *, grid: int, hidden: int, generator: torch.Generator
) -> Bool[Tensor, "clip row column"]:
    """Which tubes of each clip are hidden, ``hidden`` of them, on the generator's device.

    Drawn for a whole step at once and cut as its clips are, masks do not depend on the micro-batch.
    Memory: a byte for each tube, beside twelve for those of ``DRAWN_AT_ONCE`` clips.
    """
    parts = []
    for begin in range(0, count, DRAWN_AT_ONCE):
        shape = (min(DRAWN_AT_ONCE, count - begin), grid * grid)
        drawn = torch.rand(shape, generator=generator, device=generator.device)
        parts.append(drawn.argsort(dim=1) < hidden)
    return torch.cat(parts).reshape(count, grid, grid)


@final
class MaskedVideo(nn.Module):
    """Hides tubes of patches, and predicts what they show from what an encoder makes of the rest.

    A clip is cut into ``grid`` x ``grid`` patches, the same in all frames; such a tube is hidden
    from the first frame to the last, so that no other frame gives it away. What is predicted is
    coarse, as the encoder gives one vector for a clip: each tube as ``steps`` x ``cells`` x
    ``cells`` means of its pixels over time, height and width, in three colours. They are normalised
    by the mean and the standard deviation of all such means of the clip, so that a loss of 1 is
    what guessing the clip's mean gives.

    Source: He et al., Masked autoencoders are scalable vision learners (2022); Tong et al.,
    VideoMAE (2022), for tubes; Xie et al., SimMIM (2022), for hiding pixels and not tokens, which
    leaves the encoder as it is.
    """

    def __init__(
        self,
        *,
        width: int,
        grid: int = 7,
        share: float = 0.5,
        steps: int = 4,
        cells: int = 2,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.num_hidden = round(share * grid * grid)
        if not 0 < self.num_hidden < grid * grid:
            raise ValueError(f"a share of {share} hides none or all of {grid * grid} tubes")
        self.grid, self.steps, self.cells = grid, steps, cells
        self.tube = nn.Embedding(grid * grid, hidden)
        nn.init.normal_(self.tube.weight, std=0.5)  # tubes are told apart from the first step on
        self.seen = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.predict = nn.Sequential(
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, steps * 3 * cells * cells),
        )

    def draw(self, count: int, generator: torch.Generator) -> Bool[Tensor, "clip row column"]:
        """Which tubes of each clip are hidden, see ``draw_tubes``."""
        return draw_tubes(count, grid=self.grid, hidden=self.num_hidden, generator=generator)

    def hide(
        self,
        clips: Float[Tensor, "clip time 3 height width"],
        mask: Bool[Tensor, "clip row column"],
    ) -> Float[Tensor, "clip time 3 height width"]:
        """The clips, in -1..1, with the hidden tubes grey."""
        over_pixels = mask[:, self._rows(clips.shape[-2], self.grid, mask.device)]
        over_pixels = over_pixels[:, :, self._rows(clips.shape[-1], self.grid, mask.device)]
        return clips.masked_fill(over_pixels[:, None, None].to(clips.device), 0.0)

    def masked(
        self, clips: Float[Tensor, "clip time 3 height width"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "clip time 3 height width"], Bool[Tensor, "clip row column"]]:
        """The clips with tubes hidden that are drawn, and which they are."""
        mask = self.draw(len(clips), generator).to(clips.device)
        return self.hide(clips, mask), mask

    def losses(
        self,
        features: Float[Tensor, "clip feature"],
        clips: Float[Tensor, "clip time 3 height width"],
        mask: Bool[Tensor, "clip row column"],
    ) -> Float[Tensor, " clip"]:
        """The mean squared error over the hidden tubes of each clip.

        ``features`` are of the clips with tubes hidden, ``clips`` are the whole ones.

        Raises:
            ValueError: fewer frames than ``steps``, or fewer pixels than cells.
        """
        truth = self.targets(clips)
        predicted = self.predict(self.seen(features)[:, None] + self.tube.weight)
        errors = F.mse_loss(predicted.float(), truth, reduction="none").mean(2)
        hidden = mask.flatten(1).to(errors)
        return (errors * hidden).sum(1) / hidden.sum(1)

    def targets(
        self, clips: Float[Tensor, "clip time 3 height width"]
    ) -> Float[Tensor, "clip tube value"]:
        """What is to be predicted of each tube, hidden or not; tubes row by row.

        Raises:
            ValueError: fewer frames than ``steps``, or fewer pixels than cells.
        """
        _, frames, _, height, width = clips.shape
        side = self.grid * self.cells
        if frames < self.steps or min(height, width) < side:
            raise ValueError(
                f"clips of {frames} frames of {height} x {width} cannot be cut into"
                f" {self.steps} steps of {side} x {side} cells"
            )
        clips = clips.float()
        means = torch.einsum(
            "btchw,st,yh,xw->bscyx",
            clips,
            self._means(frames, self.steps, clips),
            self._means(height, side, clips),
            self._means(width, side, clips),
        )
        spread = means.var((1, 2, 3, 4), correction=0, keepdim=True)
        normal = (means - means.mean((1, 2, 3, 4), keepdim=True)) / (spread + EPSILON).sqrt()
        tubes = normal.reshape(
            *normal.shape[:3], *(self.grid, self.cells), *(self.grid, self.cells)
        )
        return tubes.permute(0, 3, 5, 1, 2, 4, 6).flatten(3).flatten(1, 2)

    @staticmethod
    def _rows(pixels: int, cells: int, device: torch.device) -> Tensor:
        """The cell in which each pixel lies: cells differ by one pixel at most."""
        return torch.arange(pixels, device=device) * cells // pixels

    @classmethod
    def _means(cls, pixels: int, cells: int, like: Tensor) -> Float[Tensor, "cell pixel"]:
        """The matrix that takes pixels to the means of the cells in which they lie."""
        inside = F.one_hot(cls._rows(pixels, cells, like.device), cells).T.to(like)
        return inside / inside.sum(1, keepdim=True)

"""Blocks of scores on a processor, in one thread.

NumPy compares here: its comparisons take 0.2 ns a score, torch's that give booleans 0.7
(2026-12-01, AVX-512), where the product of 512 dimensions takes 6.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from reelfit.metrics.retrieval.blocks import Blocks
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.scores import Scores


@final
class ProcessorScores(Scores):
    """Scaled features in single precision; ``panel`` is shared by all threads.

    Memory: as ``blocks`` say.
    """

    def __init__(
        self, videos: Features, texts: Features, blocks: Blocks, panel: Float32[Tensor, "text dimension"]
    ) -> None:
        self._videos, self._texts, self._panel = videos, texts, panel
        size = blocks.rows * blocks.columns
        self._rows = torch.empty(blocks.rows, videos.width)
        self._space = torch.empty(size)
        self._masks = np.empty((2, size), bool)

    def hold_texts(self, begin: int, end: int) -> None:
        """Into the shared panel."""
        self._texts.fill(begin, self._panel[: end - begin])

    def hold_videos(self, begin: int, end: int) -> None:
        """Into rows of this thread's own."""
        self._held = self._rows[: end - begin]
        self._videos.fill(begin, self._held)

    def multiply(self, begin: int, end: int) -> None:
        """By torch, in the way that the process is set to."""
        shape = (len(self._held), end - begin)
        self._scores = self._space[: shape[0] * shape[1]].view(shape)
        torch.mm(self._held, self._panel[begin:end].T, out=self._scores)

    def whole(self) -> Float32[Tensor, "video text"]:
        """The block itself."""
        return self._scores

    def remove(self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]) -> None:
        """Makes them lower than all others."""
        self._scores[video, text] = -torch.inf

    def standing_out(
        self, of_videos: Float32[Tensor, " video"], of_texts: Float32[Tensor, " text"]
    ) -> Int64[Tensor, " value"]:
        """By two comparisons of each score."""
        block = self._scores.numpy()
        mask, other = (one[: block.size].reshape(block.shape) for one in self._masks)
        np.greater_equal(block, of_videos.numpy()[:, None], out=mask)
        np.greater_equal(block, of_texts.numpy(), out=other)
        mask |= other
        return torch.from_numpy(np.flatnonzero(mask))

    def values(self, places: Int64[Tensor, " value"]) -> Float32[Tensor, " value"]:
        """Read from the block."""
        return self._scores.view(-1)[places]

    def of_pairs(
        self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]
    ) -> Float32[Tensor, " pair"]:
        """From the product of all their videos with all their texts."""
        rows, row = video.unique(return_inverse=True)
        columns, column = text.unique(return_inverse=True)
        block = torch.mm(self._videos.take(rows).float(), self._texts.take(columns).float().T)
        return block[row, column]

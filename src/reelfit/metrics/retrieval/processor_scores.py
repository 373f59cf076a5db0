"""Blocks of scores on a processor, in one thread.

NumPy compares here: its comparisons take 0.2 ns a score, torch's that give booleans 0.7
(2026-12-01, AVX-512), where the product of 512 dimensions takes 6.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from reelfit.metrics.retrieval.blocks import Blocks
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.scores import Scores

STRIP_SCORES = 2**17
"""Half a mebibyte, of a cache of two."""


@final
class ProcessorScores(Scores):
    """Scaled features in single precision; ``panel`` is shared by all threads.

    Memory: as ``blocks`` say.
    """

    def __init__(
        self,
        videos: Features,
        texts: Features,
        blocks: Blocks,
        panel: Float32[Tensor, "text dimension"],
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
        self._turned: Tensor | None = None
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
        """By two comparisons of each score, of some rows at a time that stay in the cache."""
        block, bounds, limits = self._scores.numpy(), of_videos.numpy()[:, None], of_texts.numpy()
        step = max(1, STRIP_SCORES // block.shape[1])
        found = []
        for begin in range(0, len(block), step):
            strip = block[begin : begin + step]
            mask, other = (one[: strip.size].reshape(strip.shape) for one in self._masks)
            np.greater_equal(strip, bounds[begin : begin + step], out=mask)
            np.greater_equal(strip, limits, out=other)
            np.logical_or(mask, other, out=mask)
            found.append(np.flatnonzero(mask) + begin * block.shape[1])
        return torch.from_numpy(np.concatenate(found))

    def reached(
        self,
        bounds: tuple[Float32[Tensor, " query"], Float32[Tensor, " query"]],
        queries: Int64[Tensor, " query"],
        *,
        of_texts: bool,
    ) -> tuple[Int64[Tensor, " query"], Int64[Tensor, " query"]]:
        """By a comparison of each score; eight of its answers are added at once."""
        if of_texts and self._turned is None:
            self._turned = self._scores.T.contiguous()
        block = self._turned if of_texts and self._turned is not None else self._scores
        found = torch.empty(2, len(queries), dtype=torch.int64)
        step = max(1, STRIP_SCORES // block.shape[1])
        for begin in range(0, len(queries), step):
            run = slice(begin, begin + step)
            strip = block[queries[run]].numpy()
            mask = self._masks[0, : strip.size].reshape(strip.shape)
            for bound, counts in zip(bounds, found, strict=True):
                np.greater_equal(strip, bound[run].numpy()[:, None], out=mask)
                counts[run] = torch.from_numpy(_count_true(mask))
        return found[0], found[1]

    def of_queries(
        self, queries: Int64[Tensor, " query"], *, of_texts: bool
    ) -> Float32[Tensor, "query other"]:
        """Rows or columns of the block."""
        return self._scores[:, queries].T if of_texts else self._scores[queries]

    def values(self, places: Int64[Tensor, " value"]) -> Float32[Tensor, " value"]:
        """Read from the block."""
        return self._scores.view(-1)[places]

    def of_pairs(
        self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]
    ) -> Float32[Tensor, " pair"]:
        """From the product of all their videos with all their texts."""
        rows, row = torch.unique(video, return_inverse=True)
        columns, column = torch.unique(text, return_inverse=True)
        block = torch.mm(self._videos.take(rows).float(), self._texts.take(columns).float().T)
        return block[row, column]


def _count_true(mask: Bool[np.ndarray, "row column"]) -> Int64[np.ndarray, " row"]:
    """In each row: eight bytes are added as one number, before any of them exceeds 255."""
    rows, columns = mask.shape
    if columns % 8 or columns > 8 * 255:
        return np.asarray(mask.sum(1, dtype=np.int64))
    eights = mask.view(np.int64).sum(1)
    return np.asarray(eights.view(np.uint8).reshape(rows, 8).sum(1, dtype=np.int64))

"""Blocks of scores on a GPU, or wherever the features are.

Features of half precision are multiplied as they are and summed in single precision; what makes
their lengths 1 is multiplied into the scores, so that nothing is rounded twice.
"""

from typing import final

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from reelfit.metrics.retrieval.blocks import Blocks
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.scores import Scores

HALVES = (torch.float16, torch.bfloat16)


def reaching(
    products: Float32[Tensor, "video text"],
    scales: tuple[Float32[Tensor, " video"], Float32[Tensor, " text"]],
    of_videos: Float32[Tensor, " video"],
    of_texts: Float32[Tensor, " text"],
) -> Bool[Tensor, "video text"]:
    """Which scores, products times scales, reach the bound of their video or of their text."""
    scores = products * scales[0][:, None] * scales[1]
    return (scores >= of_videos[:, None]) | (scores >= of_texts)


@final
class DeviceScores(Scores):
    """Products on one device; where it is a GPU, all comparisons of a score are one kernel.

    Memory: as ``blocks`` say.
    """

    def __init__(
        self, videos: Features, texts: Features, blocks: Blocks, device: torch.device
    ) -> None:
        self._videos, self._texts, self._device = videos, texts, device
        dtypes = {videos.dtype, texts.dtype}
        self._halves = dtypes.pop() if len(dtypes) == 1 and dtypes <= set(HALVES) else None
        self._space = torch.empty(blocks.rows * blocks.columns, device=device)
        is_gpu = device.type == "cuda"
        self._reaching = torch.compile(reaching, dynamic=True) if is_gpu else reaching

    def _held_rows(self, features: Features, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Rows to multiply, and what their scores are multiplied by."""
        if self._halves:
            scales = features.inverse_lengths(slice(begin, end)).to(self._device)
            return features.raw(slice(begin, end)).to(self._device), scales
        rows = torch.empty(end - begin, features.width, device=self._device)
        features.fill(begin, rows)
        return rows, torch.ones(end - begin, device=self._device)

    def hold_texts(self, begin: int, end: int) -> None:
        """As they are, without a copy, where they are on the device in half precision."""
        self._panel, self._panel_scales = self._held_rows(self._texts, begin, end)

    def hold_videos(self, begin: int, end: int) -> None:
        """As texts."""
        self._held, self._scales = self._held_rows(self._videos, begin, end)

    def _product(self, rows: Tensor, columns: Tensor, out: Float32[Tensor, "video text"]) -> None:
        if self._halves and self._device.type == "cuda":
            torch.mm(rows, columns.T, out_dtype=torch.float32, out=out)
        else:
            torch.mm(rows.float(), columns.float().T, out=out)

    def multiply(self, begin: int, end: int) -> None:
        """By the device's library."""
        shape = (len(self._held), end - begin)
        self._products = self._space[: shape[0] * shape[1]].view(shape)
        self._text_scales = self._panel_scales[begin:end]
        self._product(self._held, self._panel[begin:end], self._products)

    def whole(self) -> Float32[Tensor, "video text"]:
        """Scaled, in another block."""
        return self._products * self._scales[:, None] * self._text_scales

    def remove(self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]) -> None:
        """Makes them lower than all others."""
        self._products[video, text] = -torch.inf

    def standing_out(
        self, of_videos: Float32[Tensor, " video"], of_texts: Float32[Tensor, " text"]
    ) -> Int64[Tensor, " value"]:
        """By one pass over the block."""
        scales = (self._scales, self._text_scales)
        mask: Tensor = self._reaching(self._products, scales, of_videos, of_texts)
        return mask.view(-1).nonzero()[:, 0]

    def reached(
        self,
        bounds: tuple[Float32[Tensor, " query"], Float32[Tensor, " query"]],
        queries: Int64[Tensor, " query"],
        *,
        of_texts: bool,
    ) -> tuple[Int64[Tensor, " query"], Int64[Tensor, " query"]]:
        """Compares them in another block."""
        scores = self.of_queries(queries, of_texts=of_texts)
        lower, upper = ((scores >= bound[:, None]).sum(1) for bound in bounds)
        return lower, upper

    def of_queries(
        self, queries: Int64[Tensor, " query"], *, of_texts: bool
    ) -> Float32[Tensor, "query other"]:
        """Scaled in the same order as for the comparison."""
        queries = queries.to(self._device)
        if of_texts:
            return (
                self._products[:, queries] * self._scales[:, None] * self._text_scales[queries]
            ).T
        return self._products[queries] * self._scales[queries, None] * self._text_scales

    def values(self, places: Int64[Tensor, " value"]) -> Float32[Tensor, " value"]:
        """Scaled in the same order as for the comparison."""
        row = places // self._products.shape[1]
        column = places - row * self._products.shape[1]
        return self._products.view(-1)[places] * self._scales[row] * self._text_scales[column]

    def of_pairs(
        self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]
    ) -> Float32[Tensor, " pair"]:
        """From the product of all their videos with all their texts."""
        rows, row = torch.unique(video, return_inverse=True)
        columns, column = torch.unique(text, return_inverse=True)
        held = [
            self._some(features, wanted)
            for features, wanted in ((self._videos, rows), (self._texts, columns))
        ]
        block = torch.empty(len(rows), len(columns), device=self._device)
        self._product(held[0][0], held[1][0], block)
        return block[row, column] * held[0][1][row] * held[1][1][column]

    def _some(self, features: Features, rows: Int64[Tensor, " row"]) -> tuple[Tensor, Tensor]:
        if not self._halves:
            return features.take(rows).float(), torch.ones(len(rows), device=self._device)
        scales = features.inverse_lengths(rows).to(self._device)
        return features.raw(rows).to(self._device), scales

"""The best matches of every query, kept while blocks of scores go by."""

from typing import final

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int64
from torch import Tensor

SCHEMA = {"query": pl.Int64, "place": pl.Int32, "match": pl.Int64, "score": pl.Float32}


@final
class TopMatches:
    """The ``count`` highest scores of each query and whose they are.

    Of scores that are equal and at the last place any may stay.

    Memory: 12 bytes for each query and place.
    """

    def __init__(self, num_queries: int, count: int, *, device: torch.device | None = None) -> None:
        shape = (num_queries, count)
        self.scores = torch.full(shape, -torch.inf, dtype=torch.float32, device=device)
        self.matches = torch.full(shape, -1, dtype=torch.int64, device=device)

    def update(self, block: Float[Tensor, "query match"], *, first: tuple[int, int]) -> None:
        """Takes the scores of a block, whose first query and match have these numbers."""
        rows = slice(first[0], first[0] + len(block))
        changed = (block.amax(1) > self.scores[rows, -1]).nonzero()[:, 0]
        if not len(changed):
            return
        count = self.scores.shape[1]
        scores, places = block[changed].topk(min(count, block.shape[1]), dim=1)
        self._merge(changed + first[0], scores, places + first[1])

    def _merge(
        self,
        queries: Int64[Tensor, " query"],
        scores: Float[Tensor, "query place"],
        matches: Int64[Tensor, "query place"],
    ) -> None:
        all_scores = torch.cat([self.scores[queries], scores], 1)
        all_matches = torch.cat([self.matches[queries], matches], 1)
        kept, places = all_scores.topk(self.scores.shape[1], dim=1)
        self.scores[queries] = kept
        self.matches[queries] = all_matches.gather(1, places)

    def add(self, other: "TopMatches") -> None:
        """Takes what another thread has found."""
        queries = torch.arange(len(self.scores), device=self.scores.device)
        self._merge(queries, other.scores, other.matches)

    def frame(self) -> pl.DataFrame:
        """A row for each query and place from 1 on, the best first, of equal ones the first."""
        scores, matches = self.scores.cpu().numpy(), self.matches.cpu().numpy()
        order = np.lexsort((matches, -scores), axis=1)
        queries, count = scores.shape
        found = pl.DataFrame(
            {
                "query": np.repeat(np.arange(queries), count),
                "place": np.tile(np.arange(1, count + 1), queries),
                "match": np.take_along_axis(matches, order, 1).ravel(),
                "score": np.take_along_axis(scores, order, 1).ravel(),
            },
            schema=SCHEMA,
        )
        return found.filter(pl.col("match") >= 0)

"""The scores of the right ones of every query, in order: what all other scores are held against."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

_HALF = 2**31


def falling_keys(
    queries: Int64[Tensor, " value"], values: Float32[Tensor, " value"]
) -> Int64[Tensor, " value"]:
    """Whole numbers that grow with the query and, within it, as the values fall."""
    bits = (values + 0.0).view(torch.int32)  # -0 becomes 0, to which it is equal
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (queries << 32) + (_HALF - 1 - rising.long())


@final
@dataclass(frozen=True, eq=False)
class Thresholds:
    """Of each query, the scores of its right ones, falling, and the band that counts as near.

    ``pairs`` are the numbers of the right pairs in this order, those of query ``q`` from
    ``offsets[q]`` to ``offsets[q + 1]``. A score within ``lower`` to ``upper`` is near.
    ``scores`` are in double precision where near ones are settled, as are ``margins``, within
    which two such scores tie.
    """

    pairs: Int64[np.ndarray, " right"]
    offsets: Int64[Tensor, " bound"]
    scores: Float64[Tensor, " right"]
    lower: Float32[Tensor, " right"]
    upper: Float32[Tensor, " right"]
    margins: Float64[Tensor, " query"]

    @cached_property
    def bounds(self) -> Int64[np.ndarray, " bound"]:
        """``offsets`` on the host."""
        return self.offsets.cpu().numpy()

    @cached_property
    def num_right(self) -> Int64[np.ndarray, " query"]:
        """How many right ones each query has."""
        return np.diff(self.bounds)

    @cached_property
    def queries(self) -> Int64[np.ndarray, " right"]:
        """The query of each right one."""
        return np.repeat(np.arange(len(self.num_right)), self.num_right)

    @cached_property
    def single(self) -> bool:
        """Whether no query has several right ones."""
        return bool((self.num_right <= 1).all())

    @cached_property
    def least(self) -> Float32[Tensor, " query"]:
        """What a score must reach to count at all; infinite where nothing is right."""
        found = torch.full((len(self.num_right),), torch.inf, device=self.lower.device)
        some = (self.offsets[1:] > self.offsets[:-1]).nonzero()[:, 0]
        found[some] = self.lower[self.offsets[some + 1] - 1]
        return found

    @cached_property
    def _keys(self) -> tuple[Int64[Tensor, " right"], Int64[Tensor, " right"]]:
        queries = torch.from_numpy(self.queries).to(self.lower.device)
        return falling_keys(queries, self.lower), falling_keys(queries, self.upper)

    def prepare(self) -> None:
        """Computes what threads would otherwise compute each for itself."""
        _ = self.least, self.single, self.queries, self.bounds
        if not self.single:
            _ = self._keys

    def places(
        self, queries: Int64[Tensor, " value"], values: Float32[Tensor, " value"], span: slice
    ) -> tuple[Int64[Tensor, " value"], Int64[Tensor, " value"]]:
        """Of each value the first right one that it is near to or above, and the first below it.

        All values reach ``least``. ``span`` are the right ones of all queries that may be here.
        """
        if self.single:
            first = self.offsets[queries]
            return first, first + (values <= self.upper[first])
        lower, upper = self._keys
        keys = falling_keys(queries, values)
        above = torch.searchsorted(upper[span], keys, right=True).add_(span.start)
        near = above.clone()
        before = (above - 1).clamp_(min=0)
        some = ((above > self.offsets[queries]) & (self.lower[before] <= values)).nonzero()[:, 0]
        near[some] = torch.searchsorted(lower[span], keys[some]).add_(span.start)
        return near, above


def sort_thresholds(
    query_of_pair: Int64[np.ndarray, " pair"],
    scores: Float64[np.ndarray, " pair"],
    *,
    num_queries: int,
    bands: Float64[np.ndarray, " query"],
    margins: Float64[np.ndarray, " query"],
    device: torch.device,
) -> Thresholds:
    """The scores of the right pairs by query, with a band around each."""
    order = np.lexsort((-scores, query_of_pair))
    of_query, falling = query_of_pair[order], scores[order]
    band = bands[of_query]
    arrays = (
        np.searchsorted(of_query, np.arange(num_queries + 1)),
        falling,
        (falling - band).astype(np.float32),
        (falling + band).astype(np.float32),
        margins,
    )
    return Thresholds(order, *(torch.from_numpy(array).to(device) for array in arrays))

"""How many wrong ones score above each right one, and how many tie with it."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from reelfit.metrics.retrieval.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class Near:
    """Scores too near to those of right ones: of each, from which to before which of these."""

    queries: Int64[Tensor, " near"]
    first: Int64[Tensor, " near"]
    end: Int64[Tensor, " near"]
    cells: Int64[Tensor, " near"]
    """Their numbers among the values that were counted."""


@final
class Tally:
    """Counts for every right one of a direction, in the order of its thresholds.

    ``steps`` and ``near_steps`` hold where counts begin and end among a query's right ones: a
    score above one is above all that follow. ``above`` and ``tied`` hold what was counted singly.

    Memory: 32 bytes for each right one.
    """

    def __init__(self, thresholds: Thresholds, *, settles: bool) -> None:
        self.thresholds = thresholds
        self.settles = settles
        self.steps, self.near_steps, self.above, self.tied = torch.zeros(
            4, len(thresholds.pairs), dtype=torch.int64, device=thresholds.lower.device
        )
        self.num_near = 0

    def count(
        self,
        queries: Int64[Tensor, " value"],
        values: Float32[Tensor, " value"],
        *,
        among: tuple[int, int],
    ) -> Near | None:
        """Counts scores that reach their query's least; gives back those that are to be settled.

        ``among`` bounds the queries.
        """
        bounds = self.thresholds.bounds
        span = slice(int(bounds[among[0]]), int(bounds[among[1]]))
        first, above = self.thresholds.places(queries, values, span)
        ends = self.thresholds.offsets[queries + 1]
        _add(self.steps, above[above < ends], span, 1)
        near = (first < above).nonzero()[:, 0]
        if not len(near):
            return None
        first, above, ends = first[near], above[near], ends[near]
        self.num_near += int((above - first).sum())
        if self.settles:
            return Near(queries[near], first, above, near)
        _add(self.near_steps, first, span, 1)
        _add(self.near_steps, above[above < ends], span, -1)
        return None

    def take(
        self,
        right: Int64[Tensor, " right"],
        above: Int64[Tensor, " right"],
        near: Int64[Tensor, " right"],
    ) -> None:
        """Adds counts of some right ones; near ones tie where they are not settled."""
        self.above[right] += above
        self.num_near += int(near.sum())
        if not self.settles:
            self.tied[right] += near

    def settle(self, near: Near, scores: Float64[Tensor, " near"]) -> None:
        """Counts near scores by what they are in double precision."""
        lengths = near.end - near.first
        starts = lengths.cumsum(0) - lengths
        right = torch.repeat_interleave(near.first - starts, lengths)
        right += torch.arange(len(right), device=right.device)
        margins = torch.repeat_interleave(self.thresholds.margins[near.queries], lengths)
        over = torch.repeat_interleave(scores, lengths) - self.thresholds.scores[right]
        for counts, which in ((self.above, over > margins), (self.tied, over.abs() <= margins)):
            places = right[which]
            counts.index_add_(0, places, torch.ones_like(places))

    def add(self, other: "Tally") -> None:
        """Takes the counts of another thread."""
        self.steps += other.steps
        self.near_steps += other.near_steps
        self.above += other.above
        self.tied += other.tied
        self.num_near += other.num_near

    def counts(self) -> tuple[Int64[np.ndarray, " right"], Int64[np.ndarray, " right"]]:
        """Of each right one how many wrong ones are above it, and how many tie with it."""
        above = _within_queries(self.steps, self.thresholds) + self.above.cpu().numpy()
        tied = _within_queries(self.near_steps, self.thresholds) + self.tied.cpu().numpy()
        return above, tied


def _add(
    steps: Int64[Tensor, " right"], places: Int64[Tensor, " place"], span: slice, sign: int
) -> None:
    if len(places):
        counts = torch.bincount(places - span.start, minlength=span.stop - span.start)
        steps[span].add_(counts, alpha=sign)


def _within_queries(
    steps: Int64[Tensor, " right"], thresholds: Thresholds
) -> Int64[np.ndarray, " right"]:
    """Running sums that begin anew at each query."""
    sums = np.concatenate([[0], np.cumsum(steps.cpu().numpy())])
    return np.asarray(sums[1:] - sums[thresholds.bounds[thresholds.queries]])

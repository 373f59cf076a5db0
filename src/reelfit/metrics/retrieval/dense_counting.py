"""Counts where much of a block stands out: all its scores against each right one, one at a time.

So it is with features that have learnt nothing yet. What few right ones a query has are held
against its scores as they stand; beyond ``SLOTS`` the query's scores are sorted first.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Int64
from torch import Tensor

from reelfit.metrics.retrieval.blocks import CHUNK
from reelfit.metrics.retrieval.scores import Scores
from reelfit.metrics.retrieval.tally import Near, Tally

SLOTS = 16


def count_densely(
    tally: Tally, scores: Scores, *, among: tuple[int, int], of_texts: bool
) -> Iterator[tuple[Near, Int64[Tensor, " near"]]]:
    """Counts the whole block for one direction; gives what is to be settled.

    With each come the places, of a video or of a text, that are not the query's.
    """
    num_right = torch.from_numpy(tally.thresholds.num_right[among[0] : among[1]])
    most = int(num_right.max())
    device = tally.steps.device
    for slot in range(min(most, SLOTS)):
        queries = (num_right > slot).nonzero()[:, 0].to(device)
        yield from _count_slot(tally, scores, queries, slot, first=among[0], of_texts=of_texts)
    for query in (num_right > SLOTS).nonzero()[:, 0].tolist():
        yield from _count_sorted(tally, scores, query, first=among[0], of_texts=of_texts)


def _count_slot(
    tally: Tally,
    scores: Scores,
    queries: Int64[Tensor, " query"],
    slot: int,
    *,
    first: int,
    of_texts: bool,
) -> Iterator[tuple[Near, Int64[Tensor, " near"]]]:
    thresholds = tally.thresholds
    right = thresholds.offsets[queries + first] + slot
    lower = thresholds.lower[right]
    upper = torch.nextafter(thresholds.upper[right], torch.tensor(torch.inf, device=lower.device))
    reached, above = scores.reached((lower, upper), queries, of_texts=of_texts)
    near = reached - above
    tally.take(right, above, near)
    some = near.nonzero()[:, 0]
    if not tally.settles or not len(some):
        return
    values = scores.of_queries(queries[some], of_texts=of_texts)
    is_near = (values >= lower[some, None]) & (values < upper[some, None])
    for cells in torch.split(is_near.nonzero(), CHUNK):
        one, other = some[cells[:, 0]], cells[:, 1]
        yield _near(queries[one] + first, right[one], other), other


def _count_sorted(
    tally: Tally, scores: Scores, query: int, *, first: int, of_texts: bool
) -> Iterator[tuple[Near, Int64[Tensor, " near"]]]:
    thresholds = tally.thresholds
    bounds = thresholds.bounds[query + first : query + first + 2]
    right = torch.arange(int(bounds[0]) + SLOTS, int(bounds[1]), device=tally.steps.device)
    values, order = scores.of_queries(torch.tensor([query]), of_texts=of_texts)[0].sort()
    begin = torch.searchsorted(values, thresholds.lower[right])
    end = torch.searchsorted(values, thresholds.upper[right], right=True)
    tally.take(right, len(values) - end, end - begin)
    if tally.settles:
        for place in (end > begin).nonzero()[:, 0].tolist():
            other = order[begin[place] : end[place]]
            settled = (
                torch.full_like(other, query + first),
                torch.full_like(other, int(right[place])),
            )
            yield _near(*settled, other), other


def _near(
    queries: Int64[Tensor, " near"], right: Int64[Tensor, " near"], cells: Int64[Tensor, " near"]
) -> Near:
    return Near(queries, right, right + 1, cells)

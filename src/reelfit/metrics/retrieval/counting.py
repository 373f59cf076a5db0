"""The pass over all scores: products by blocks, and counts for both directions at once.

Most scores are below those of all right ones of their video and of their text, and one comparison
for each direction tells so. What remains, seldom more than a hundredth, is counted one by one.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from reelfit.metrics.retrieval.blocks import CHUNK, Blocks
from reelfit.metrics.retrieval.dense_counting import count_densely
from reelfit.metrics.retrieval.double_scores import score_cells
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.right_pairs import RightPairs
from reelfit.metrics.retrieval.scores import Scores
from reelfit.metrics.retrieval.tally import Near, Tally
from reelfit.metrics.retrieval.thresholds import Thresholds
from reelfit.metrics.retrieval.top_matches import TopMatches

PAIRS_AT_ONCE = 128
DENSE = 1 / 32
"""Of a block's scores: where more stand out, counting them one by one takes longer."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is counted, and in which blocks."""

    videos: Features
    texts: Features
    pairs: RightPairs
    of_videos: Thresholds
    of_texts: Thresholds
    settles: bool
    top: int
    blocks: Blocks


@final
class Counts:
    """Of some videos, or of all: counts in both directions, and the top matches."""

    def __init__(self, task: Task) -> None:
        self.of_videos = Tally(task.of_videos, settles=task.settles)
        self.of_texts = Tally(task.of_texts, settles=task.settles)
        device = task.of_videos.lower.device
        self.videos_top = TopMatches(task.pairs.num_videos, task.top, device=device)
        self.texts_top = TopMatches(task.pairs.num_texts, task.top, device=device)

    def add(self, other: "Counts") -> None:
        """Takes what another thread counted of its videos."""
        self.of_videos.add(other.of_videos)
        self.of_texts.add(other.of_texts)
        self.videos_top.add(other.videos_top)
        self.texts_top.add(other.texts_top)


def score_right_pairs(
    pairs: RightPairs, scores: list[Scores], device: torch.device
) -> Float64[np.ndarray, " pair"]:
    """The scores of the right pairs by the product that all others come from, in small blocks."""
    found = np.empty(len(pairs))

    def fill(thread: int) -> None:
        torch.set_num_threads(1)  # of this thread: OpenMP has a number for each
        for begin in range(thread * PAIRS_AT_ONCE, len(pairs), len(scores) * PAIRS_AT_ONCE):
            run = slice(begin, begin + PAIRS_AT_ONCE)
            video, text = (torch.from_numpy(of[run]).to(device) for of in (pairs.video, pairs.text))
            found[run] = scores[thread].of_pairs(video, text).cpu().numpy()

    with ThreadPoolExecutor(len(scores)) as pool:
        list(pool.map(fill, range(len(scores))))
    return found


def count_scores(task: Task, scores: list[Scores]) -> Counts:
    """Counts every score once; each of ``scores`` is a thread's, for a range of the videos."""
    task.of_videos.prepare()
    task.of_texts.prepare()
    bounds = np.linspace(0, task.pairs.num_videos, len(scores) + 1).astype(int).tolist()
    passes = [_Pass(task, one, bounds[at], bounds[at + 1]) for at, one in enumerate(scores)]
    with ThreadPoolExecutor(len(scores)) as pool:
        for begin in range(0, task.pairs.num_texts, task.blocks.panel):
            end = min(begin + task.blocks.panel, task.pairs.num_texts)
            scores[0].hold_texts(begin, end)
            list(pool.map(lambda one, held=(begin, end): one.run(*held), passes))
    for one in passes[1:]:
        passes[0].counts.add(one.counts)
    return passes[0].counts


@final
class _Pass:
    """One thread's way over its videos."""

    def __init__(self, task: Task, scores: Scores, begin: int, end: int) -> None:
        self._task, self._scores = task, scores
        self._begin, self._end = begin, end
        self.counts = Counts(task)

    def run(self, first_text: int, end_text: int) -> None:
        """All videos of this thread against the texts held."""
        torch.set_num_threads(1)  # of this thread: OpenMP has a number for each
        blocks = self._task.blocks
        for begin in range(self._begin, self._end, blocks.rows):
            rows = (begin, min(begin + blocks.rows, self._end))
            self._scores.hold_videos(*rows)
            for start in range(first_text, end_text, blocks.columns):
                columns = (start, min(start + blocks.columns, end_text))
                self._scores.multiply(columns[0] - first_text, columns[1] - first_text)
                self._count_block(rows, columns)

    def _count_block(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        if self._task.top:
            block = self._scores.whole()
            self.counts.videos_top.update(block, first=(rows[0], columns[0]))
            self.counts.texts_top.update(block.T.contiguous(), first=(columns[0], rows[0]))
        self._remove_right(rows, columns)
        places = self._scores.standing_out(
            self._task.of_videos.least[slice(*rows)], self._task.of_texts.least[slice(*columns)]
        )
        if len(places) > DENSE * (rows[1] - rows[0]) * (columns[1] - columns[0]):
            self._count_densely(rows, columns)
            return
        for begin in range(0, len(places), CHUNK):
            self._count(places[begin : begin + CHUNK], rows, columns)

    def _count_densely(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        features = self._task.videos, self._task.texts
        for near, other in count_densely(
            self.counts.of_videos, self._scores, among=rows, of_texts=False
        ):
            scores = score_cells(*features, columns, near.queries, other + columns[0])
            self.counts.of_videos.settle(near, scores)
        for near, other in count_densely(
            self.counts.of_texts, self._scores, among=columns, of_texts=True
        ):
            video, order = (other + rows[0]).sort()
            scores = score_cells(*features, columns, video, near.queries[order])
            self.counts.of_texts.settle(near, scores[order.argsort()])

    def _remove_right(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """No right one counts as a wrong one, whatever its rounding."""
        pairs = self._task.pairs
        run = slice(*np.searchsorted(pairs.video, rows))
        text = pairs.text[run]
        here = (text >= columns[0]) & (text < columns[1])
        places = (pairs.video[run][here] - rows[0], text[here] - columns[0])
        device = self._task.of_videos.lower.device
        self._scores.remove(*(torch.from_numpy(one).to(device) for one in places))

    def _count(
        self, places: Int64[Tensor, " value"], rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        values, width = self._scores.values(places), columns[1] - columns[0]
        row = places // width
        video, text = row + rows[0], places - row * width + columns[0]
        unsettled: list[tuple[Tally, Near, Int64[Tensor, " near"]]] = []
        for tally, queries, among in (
            (self.counts.of_videos, video, rows),
            (self.counts.of_texts, text, columns),
        ):
            reached = (values >= tally.thresholds.least[queries]).nonzero()[:, 0]
            near = tally.count(queries[reached], values[reached], among=among)
            if near:
                unsettled.append((tally, near, reached[near.cells]))
        for tally, near, cells in unsettled:
            features = self._task.videos, self._task.texts
            tally.settle(near, score_cells(*features, columns, video[cells], text[cells]))

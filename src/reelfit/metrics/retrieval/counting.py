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

from reelfit.metrics.retrieval.blocks import CHUNK, DENSE, Blocks
from reelfit.metrics.retrieval.dense_counting import count_densely
from reelfit.metrics.retrieval.double_scores import score_many
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.right_pairs import RightPairs
from reelfit.metrics.retrieval.scores import Scores
from reelfit.metrics.retrieval.tally import Near, Tally
from reelfit.metrics.retrieval.thresholds import Thresholds
from reelfit.metrics.retrieval.top_matches import TopMatches

PAIRS_AT_ONCE, PAIRS_AT_ONCE_ON_A_DEVICE = 128, 2048


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
    size = PAIRS_AT_ONCE if device.type == "cpu" else PAIRS_AT_ONCE_ON_A_DEVICE

    def fill(thread: int) -> None:
        torch.set_num_threads(1)  # of this thread: OpenMP has a number for each
        for begin in range(thread * size, len(pairs), len(scores) * size):
            run = slice(begin, begin + size)
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
        self._device = task.of_videos.lower.device
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self._num_kept = 0

    def run(self, first_text: int, end_text: int) -> None:
        """All videos of this thread against the texts held."""
        torch.set_num_threads(1)  # of this thread: OpenMP has a number for each
        blocks = self._task.blocks
        for begin in range(self._begin, self._end, blocks.rows):
            rows = (begin, min(begin + blocks.rows, self._end))
            self._scores.hold_videos(*rows)
            right = self._right_of(rows)
            for start in range(first_text, end_text, blocks.columns):
                columns = (start, min(start + blocks.columns, end_text))
                self._scores.multiply(columns[0] - first_text, columns[1] - first_text)
                self._take_block(rows, columns, right)
            self._count_kept(rows, (first_text, end_text))

    def _right_of(
        self, rows: tuple[int, int]
    ) -> tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]:
        """The right pairs of these videos, by text."""
        pairs = self._task.pairs
        run = slice(*np.searchsorted(pairs.video, rows))
        order = np.argsort(pairs.text[run])
        return pairs.video[run][order] - rows[0], pairs.text[run][order]

    def _take_block(
        self,
        rows: tuple[int, int],
        columns: tuple[int, int],
        right: tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]],
    ) -> None:
        task, scores = self._task, self._scores
        if task.top:
            block = scores.whole()
            self.counts.videos_top.update(block, first=(rows[0], columns[0]))
            self.counts.texts_top.update(block.T.contiguous(), first=(columns[0], rows[0]))
        run = slice(*np.searchsorted(right[1], columns))
        if run.start < run.stop:  # a right one is no wrong one, whatever its rounding
            cells = (right[0][run], right[1][run] - columns[0])
            scores.remove(*(torch.from_numpy(one).to(self._device) for one in cells))
        places = scores.standing_out(
            task.of_videos.least[slice(*rows)], task.of_texts.least[slice(*columns)]
        )
        if len(places) > DENSE * (rows[1] - rows[0]) * (columns[1] - columns[0]):
            self._count_densely(rows, columns)
        elif len(places):
            self._keep(places, rows, columns)

    def _keep(
        self, places: Int64[Tensor, " value"], rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        """For later, as counting a few takes as long as counting many."""
        width = columns[1] - columns[0]
        row = places // width
        column = places - row * width
        self._kept.append((self._scores.values(places), row + rows[0], column + columns[0]))
        self._num_kept += len(places)
        if self._num_kept > CHUNK:
            self._count_kept(rows, (0, columns[1]))

    def _count_kept(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """Counts what was kept, which is of videos and texts in these ranges."""
        if not self._kept:
            return
        values, video, text = (torch.cat(parts) for parts in zip(*self._kept, strict=True))
        self._kept.clear()
        self._num_kept = 0
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
            tally.settle(near, self._scores_in_double(video[cells], text[cells]))

    def _count_densely(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        for tally, queries, others, of_texts in (
            (self.counts.of_videos, rows, columns, False),
            (self.counts.of_texts, columns, rows, True),
        ):
            for near, other in count_densely(tally, self._scores, among=queries, of_texts=of_texts):
                pair = (near.queries, other + others[0])
                tally.settle(near, self._scores_in_double(*(pair[::-1] if of_texts else pair)))

    def _scores_in_double(
        self, video: Int64[Tensor, " near"], text: Int64[Tensor, " near"]
    ) -> Float64[Tensor, " near"]:
        return score_many(self._task.videos, self._task.texts, video, text)

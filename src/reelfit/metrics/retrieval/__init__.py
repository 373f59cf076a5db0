"""How well videos and texts find each other: exact ranks in both directions, at any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import polars as pl
import torch

from reelfit.errors import FeatureError
from reelfit.memory.budget import parse_size
from reelfit.metrics.resampling import number_groups
from reelfit.metrics.retrieval.blocks import Sizes, choose_blocks
from reelfit.metrics.retrieval.counting import Counts, Task, count_scores, score_right_pairs
from reelfit.metrics.retrieval.device_scores import DeviceScores
from reelfit.metrics.retrieval.double_scores import score_pairs
from reelfit.metrics.retrieval.features import FeatureRows, Features
from reelfit.metrics.retrieval.geometry import alignment, norms, uniformity
from reelfit.metrics.retrieval.intervals import Interval, find_intervals
from reelfit.metrics.retrieval.measures import Ties, measure_queries, positions, summarize
from reelfit.metrics.retrieval.processor_scores import ProcessorScores
from reelfit.metrics.retrieval.right_pairs import (
    RightPairs,
    Targets,
    find_right_pairs,
    number_texts,
)
from reelfit.metrics.retrieval.rounding import (
    double_error,
    expected_error,
    fastest_products,
    largest_error,
    one_processor_each,
)
from reelfit.metrics.retrieval.scores import Scores
from reelfit.metrics.retrieval.tally import Tally
from reelfit.metrics.retrieval.thresholds import Thresholds, sort_thresholds

__all__ = ["RetrievalMetrics", "number_texts", "retrieval_metrics"]

Direction: TypeAlias = Literal["video_to_text", "text_to_video"]
SMALL = 1e9
"""Operations below which a second thread costs more than it takes over."""
LARGEST_SCORE = 1e37


@final
@dataclass(frozen=True, eq=False)
class RetrievalMetrics:
    """What was measured; ``result["video_to_text"]["recall@1"]`` is a mean over the queries.

    Of each direction: ``means`` and ``intervals`` (with groups alone) by measure, ``queries`` with
    a row for each query (``query right rank recall@k ... reciprocal_rank average_precision ndcg@5
    ndcg@10``, null where nothing is right), ``top`` (where asked for) with a row for each query and
    place (``query place match score is_right``). ``pairs`` has the right ``video`` and ``text``
    of each pair; ``texts`` the unique texts by number, where targets were texts.

    ``near_ties`` counts scores of wrong ones that rounding may have put on the other side of a
    right one's: they count as equal to it, or with ``exact`` as what they are in double precision.
    ``without_right`` counts the queries of each direction that no mean is over.
    """

    means: dict[Direction, dict[str, float]]
    intervals: dict[Direction, dict[str, Interval]]
    queries: dict[Direction, pl.DataFrame]
    top: dict[Direction, pl.DataFrame]
    pairs: pl.DataFrame
    texts: list[str] | None
    near_ties: int
    without_right: dict[Direction, int]
    alignment: float
    uniformity: dict[str, float | None]
    norms: dict[str, dict[str, float]]

    def __getitem__(self, direction: Direction) -> dict[str, float]:
        return self.means[direction]


def retrieval_metrics(  # noqa: PLR0913  each is asked for by name
    video: FeatureRows,
    text: FeatureRows,
    targets: Targets,
    *,
    memory: str | int = "256MiB",
    ks: Sequence[int] = (1, 5, 10, 50),
    normalize: bool = True,
    exact: bool = False,
    ties: Ties = "mean",
    top: int = 0,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> RetrievalMetrics:
    """Exact ranks of right texts among all texts, and of right videos among all videos.

    ``video`` and ``text`` are rows of features: arrays, tensors on any device, or ``.npy`` files,
    which may be larger than the memory. ``targets`` has for each video the number of its right
    text's row, several of them, or the texts themselves; then ``text`` has a row for each unique
    text in first-seen order, or one for each text given. ``top`` keeps so many best matches of each
    query. ``groups`` names each video's group for the intervals, which are over ``resamples`` of
    whole groups. Scores are cosines, or with ``normalize=False`` dot products.

    Memory: ``memory`` beside the features, on a GPU of the GPU's.

    Raises:
        FeatureError: features or targets that cannot be measured, or too little memory.
        ValueError: a number of matches below 1, or other than one group for each video.
    """
    if any(k < 1 for k in ks) or top < 0 or (groups is not None and len(groups) != len(targets)):
        raise ValueError("ks are 1 or more, top 0 or more, and groups one for each video")
    with torch.no_grad(), one_processor_each() as threads:
        held = _opened(video, text, targets, normalize=normalize)
        counted = _count(held, memory=memory, exact=exact, top=top, most_threads=threads)
        spread = {each.what: uniformity(each, seed=seed) for each in (held.videos, held.texts)}
    tallies: dict[Direction, Tally] = {
        "video_to_text": counted.counts.of_videos,
        "text_to_video": counted.counts.of_texts,
    }
    queries = {
        direction: measure_queries(tally.thresholds, positions(tally, ties=ties), ks=ks)
        for direction, tally in tallies.items()
    }
    pairs = held.pairs
    return RetrievalMetrics(
        means={way: summarize(table, ks=ks) for way, table in queries.items()},
        intervals=_intervals(queries, pairs, groups, ks=ks, resamples=resamples, seed=seed),
        queries=queries,
        top=_top(counted.counts, pairs) if top else {},
        pairs=pl.DataFrame({"video": pairs.video, "text": pairs.text}),
        texts=pairs.texts,
        near_ties=sum(tally.num_near for tally in tallies.values()),
        without_right={way: int((table["right"] == 0).sum()) for way, table in queries.items()},
        alignment=alignment(counted.scores, pairs, held.videos, held.texts),
        uniformity=spread,
        norms={each.what: norms(each) for each in (held.videos, held.texts)},
    )


@dataclass(frozen=True, eq=False)
class _Held:
    videos: Features
    texts: Features
    pairs: RightPairs


@dataclass(frozen=True, eq=False)
class _Counted:
    counts: Counts
    scores: np.ndarray
    """Of the right pairs."""


def _opened(video: FeatureRows, text: FeatureRows, targets: Targets, *, normalize: bool) -> _Held:
    videos = Features(video, what="video", normalize=normalize)
    texts = Features(text, what="text", normalize=normalize)
    pairs, chosen = find_right_pairs(targets, num_videos=videos.count, num_rows=texts.count)
    if chosen is not None:
        texts = Features(text, what="text", normalize=normalize, chosen=chosen)
    if videos.width != texts.width:
        raise FeatureError(
            f"video features have {videos.width} dimensions, text features {texts.width}"
        )
    if videos.largest * texts.largest > LARGEST_SCORE:
        raise FeatureError("the scores would exceed single precision: pass normalize=True")
    return _Held(videos, texts, pairs)


def _count(held: _Held, *, memory: str | int, exact: bool, top: int, most_threads: int) -> _Counted:
    videos, texts, pairs = held.videos, held.texts, held.pairs
    width = videos.width
    memory_bytes = memory if isinstance(memory, int) else parse_size(memory)
    operations = 2.0 * videos.count * texts.count * width
    device = texts.device if videos.device.type == "cpu" else videos.device
    sizes = Sizes(videos.count, texts.count, width, len(pairs), top, exact)
    with fastest_products(operations=operations, width=width, proven=exact):
        on_device = device.type != "cpu"
        threads = 1 if operations < SMALL or on_device else most_threads
        blocks = choose_blocks(
            sizes, memory_bytes=memory_bytes, threads=threads, on_device=on_device
        )
        scores: list[Scores]
        if not on_device:
            panel = torch.empty(blocks.panel, width)
            scores = [ProcessorScores(videos, texts, blocks, panel) for _ in range(blocks.threads)]
        else:
            scores = [DeviceScores(videos, texts, blocks, device)]
        of_pairs = score_right_pairs(pairs, scores, device)
        if exact:
            of_pairs = _scores_in_double(held)
        of_videos, of_texts = _thresholds(held, of_pairs, exact=exact, device=device)
        task = Task(videos, texts, pairs, of_videos, of_texts, exact, top, blocks)
        return _Counted(count_scores(task, scores), of_pairs)


def _scores_in_double(held: _Held) -> np.ndarray:
    numbers = torch.from_numpy(held.pairs.video), torch.from_numpy(held.pairs.text)
    return score_pairs(held.videos, held.texts, *numbers).numpy()


def _thresholds(
    held: _Held, scores: np.ndarray, *, exact: bool, device: torch.device
) -> tuple[Thresholds, Thresholds]:
    """Those of videos and of texts; errors grow with the lengths of what is multiplied."""
    width = held.videos.width
    error = largest_error(width) if exact else expected_error(width)
    found = []
    for one, other, queries in (
        (held.videos, held.texts, held.pairs.video),
        (held.texts, held.videos, held.pairs.text),
    ):
        lengths = one.scaled_norms * other.largest
        thresholds = sort_thresholds(
            queries,
            scores,
            num_queries=one.count,
            bands=error * lengths,
            margins=double_error(width) * lengths,
            device=device,
        )
        found.append(thresholds)
    return found[0], found[1]


def _top(counts: Counts, pairs: RightPairs) -> dict[Direction, pl.DataFrame]:
    right = pl.DataFrame({"video": pairs.video, "text": pairs.text, "is_right": True})
    found: dict[Direction, pl.DataFrame] = {}
    for direction, matches in (
        ("video_to_text", counts.videos_top),
        ("text_to_video", counts.texts_top),
    ):
        query, match = direction.split("_to_")
        table = matches.frame().join(
            right.rename({query: "query", match: "match"}),
            on=["query", "match"],
            how="left",
            maintain_order="left",
        )
        found[direction] = table.with_columns(pl.col("is_right").fill_null(value=False))  # type: ignore[index]
    return found


def _intervals(
    queries: dict[Direction, pl.DataFrame],
    pairs: RightPairs,
    groups: Sequence[str] | None,
    *,
    ks: Sequence[int],
    resamples: int,
    seed: int,
) -> dict[Direction, dict[str, Interval]]:
    if groups is None:
        return {}
    group_of_pair = number_groups(groups)[pairs.video]
    group_of_pair = np.unique(group_of_pair, return_inverse=True)[1]
    of = {"video_to_text": pairs.video, "text_to_video": pairs.text}
    return {
        direction: find_intervals(
            table, of[direction], group_of_pair, ks=ks, resamples=resamples, seed=seed
        )
        for direction, table in queries.items()
    }

"""Scores in double precision, of the pairs alone that single precision cannot tell apart."""

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from reelfit.metrics.retrieval.features import STAGED_BYTES, Features

WHOLE_SHARE = 1 / 256
"""Of all scores of some videos: where more are wanted, their whole product takes less time."""


def score_pairs(
    videos: Features,
    texts: Features,
    video: Int64[Tensor, " pair"],
    text: Int64[Tensor, " pair"],
) -> Float64[Tensor, " pair"]:
    """The score of each pair by itself. Memory: two mebibytes."""
    found = torch.empty(len(video), dtype=torch.float64, device=video.device)
    size = max(1, STAGED_BYTES // (8 * videos.width))
    for begin in range(0, len(video), size):
        run = slice(begin, begin + size)
        found[run] = videos.take(video[run]).mul_(texts.take(text[run])).sum(1)
    return found


def score_cells(
    videos: Features,
    texts: Features,
    columns: tuple[int, int],
    video: Int64[Tensor, " cell"],
    text: Int64[Tensor, " cell"],
) -> Float64[Tensor, " cell"]:
    """The scores of some pairs, in rising order of videos, whose texts are within ``columns``.

    Memory: at most the features of these texts and some mebibytes.
    """
    first, last = int(video[0]), int(video[-1])
    if len(video) <= (last + 1 - first) * (columns[1] - columns[0]) * WHOLE_SHARE:
        return score_pairs(videos, texts, video, text)
    found = torch.empty(len(video), dtype=torch.float64, device=video.device)
    step = max(1, STAGED_BYTES // (8 * max(videos.width, columns[1] - columns[0])))
    of_texts = texts.take(torch.arange(*columns, device=video.device))
    bounds = np.searchsorted(video.cpu().numpy(), np.arange(first, last + step + 1, step))
    for place, begin in enumerate(range(first, last + 1, step)):
        run = slice(int(bounds[place]), int(bounds[place + 1]))
        rows = torch.arange(begin, min(begin + step, last + 1), device=video.device)
        block = torch.mm(videos.take(rows), of_texts.T)
        found[run] = block[video[run] - begin, text[run] - columns[0]]
    return found

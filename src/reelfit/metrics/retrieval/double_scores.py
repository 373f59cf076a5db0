"""Scores in double precision, of the pairs alone that single precision cannot tell apart."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from reelfit.metrics.retrieval.features import STAGED_BYTES, Features

MANY = 1024
"""Pairs of 256 videos and 256 texts: from so many on, the product of all takes less time."""


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


def score_many(
    videos: Features,
    texts: Features,
    video: Int64[Tensor, " pair"],
    text: Int64[Tensor, " pair"],
) -> Float64[Tensor, " pair"]:
    """The same, by products of some videos with some texts where many of their pairs are asked for.

    Memory: some mebibytes.
    """
    if len(video) < MANY:
        return score_pairs(videos, texts, video, text)
    found = torch.empty(len(video), dtype=torch.float64, device=video.device)
    rows, row = torch.unique(video, return_inverse=True)
    columns, column = torch.unique(text, return_inverse=True)
    side = max(16, min(256, 2 * STAGED_BYTES // (8 * videos.width)))
    blocks = (row // side) * (len(columns) // side + 1) + column // side
    order = blocks.argsort()
    for pairs in torch.split(
        order, torch.unique_consecutive(blocks[order], return_counts=True)[1].tolist()
    ):
        if len(pairs) < MANY:
            found[pairs] = score_pairs(videos, texts, video[pairs], text[pairs])
            continue
        first = int(row[pairs[0]]) // side * side, int(column[pairs[0]]) // side * side
        left = videos.take(rows[first[0] : first[0] + side])
        block = torch.mm(left, texts.take(columns[first[1] : first[1] + side]).T)
        found[pairs] = block[row[pairs] - first[0], column[pairs] - first[1]]
    return found

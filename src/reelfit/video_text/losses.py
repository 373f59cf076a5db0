"""Contrastive losses whose matrix of scores never exists: it is made and used in square blocks.

Items with the same number are positives of each other, and never negatives.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

BLOCK_ROWS: Final = {"cpu": 512, "elsewhere": 4096}
"""Rows and columns of a block: 1 MiB of float32, so that a core's cache holds it, or 64 MiB.

Some four are alive at once.
"""
Block = tuple[slice, slice, Float[Tensor, "row column"], Bool[Tensor, "row column"]]
"""Rows, columns, their cosines, and which pairs are positive."""


def info_nce(
    video: Float[Tensor, "batch dimension"],
    text: Float[Tensor, "batch dimension"],
    numbers: Int64[Tensor, " batch"],
    scale: Float[Tensor, ""],
    *,
    block_rows: int | None = None,
) -> Float[Tensor, ""]:
    """The mean over the batch and both directions of how unlikely a query's positives are.

    Of a video it is minus the logarithm of the share that its positives have in the sum of the
    exponentials of all its scaled cosines; of a text likewise. Embeddings have unit length.
    Memory: some blocks, and four numbers per item. The scores are computed twice.

    Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding (2018);
    Radford et al., CLIP (2021), for both directions; Miech et al., End-to-End Learning of Visual
    Representations from Uncurated Instructional Videos (2020), for several positives.
    """
    with torch.autocast(video.device.type, enabled=False):
        apply: Callable[..., Tensor] = _InfoNCE.apply
        return apply(video, text, numbers, scale, block_rows or _rows_of(video))


def sigmoid_loss(
    video: Float[Tensor, "batch dimension"],
    text: Float[Tensor, "batch dimension"],
    numbers: Int64[Tensor, " batch"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    *,
    block_rows: int | None = None,
) -> Float[Tensor, ""]:
    """Binary cross entropy of every pair, summed over an item's pairs, in the mean over the items.

    A pair's logit is its scaled cosine and the bias. Memory: some blocks. The scores are computed
    twice.

    Source: Zhai et al., Sigmoid Loss for Language Image Pre-Training (2023).
    """
    with torch.autocast(video.device.type, enabled=False):
        apply: Callable[..., Tensor] = _Sigmoid.apply
        line = torch.stack([scale, bias])
        return apply(video, text, numbers, line, block_rows or _rows_of(video))


@final
class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, video: Tensor, text: Tensor, numbers: Tensor, scale: Tensor, block_rows: int
    ) -> Tensor:
        rows, columns, true_rows, true_columns = video.new_full((4, len(video)), -torch.inf)
        for row, column, cosines, positive in _blocks(video, text, numbers, block_rows):
            scores = cosines.mul_(scale)
            _add_exponentials(rows[row], columns[column], scores)
            if positive.any():
                scores.masked_fill_(~positive, -torch.inf)
                _add_exponentials(true_rows[row], true_columns[column], scores)
        ctx.save_for_backward(video, text, numbers, scale, rows, columns, true_rows, true_columns)
        ctx.block_rows = block_rows
        both: Tensor = (rows - true_rows).mean() + (columns - true_columns).mean()
        return both / 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        video, text, numbers, scale, *sums = ctx.saved_tensors
        rows, columns, true_rows, true_columns = sums
        weight = slope / (2 * len(video))

        def on_scores(block: Block) -> Tensor:
            found: Tensor
            row, column, cosines, positive = block
            scores = cosines * scale
            found = (scores - rows[row, None]).exp_()
            found += (scores - columns[column]).exp_()
            if positive.any():
                scores.masked_fill_(~positive, -torch.inf)
                found -= (scores - true_rows[row, None]).exp_()
                found -= (scores - true_columns[column]).exp_()
            return found.mul_(weight)

        on_video, on_text, on_scale, _ = _through_blocks(
            on_scores, video, text, numbers, scale, ctx.block_rows
        )
        return on_video, on_text, None, on_scale, None


@final
class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, video: Tensor, text: Tensor, numbers: Tensor, line: Tensor, block_rows: int
    ) -> Tensor:
        scale, bias = line
        total = torch.zeros((), dtype=torch.float64, device=video.device)
        for _, _, cosines, positive in _blocks(video, text, numbers, block_rows):
            logits = cosines.mul_(scale).add_(bias)
            total -= logsigmoid(torch.where(positive, logits, -logits)).sum()
        ctx.save_for_backward(video, text, numbers, line)
        ctx.block_rows = block_rows
        return (total / len(video)).to(video.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        video, text, numbers, line = ctx.saved_tensors
        scale, bias = line
        weight = slope / len(video)

        def on_logits(block: Block) -> Tensor:
            _, _, cosines, positive = block
            found: Tensor = (cosines * scale).add_(bias).sigmoid_()
            return found.sub_(positive.to(found.dtype)).mul_(weight)

        on_video, on_text, on_scale, on_bias = _through_blocks(
            on_logits, video, text, numbers, scale, ctx.block_rows
        )
        return on_video, on_text, None, torch.stack([on_scale, on_bias]), None


def _rows_of(video: Tensor) -> int:
    return BLOCK_ROWS["cpu" if video.device.type == "cpu" else "elsewhere"]


def _blocks(video: Tensor, text: Tensor, numbers: Tensor, block_rows: int) -> Iterator[Block]:
    cuts = [slice(begin, begin + block_rows) for begin in range(0, len(video), block_rows)]
    for row in cuts:
        for column in cuts:
            positive = numbers[row, None] == numbers[column]
            yield row, column, video[row] @ text[column].T, positive


def _add_exponentials(rows: Tensor, columns: Tensor, scores: Tensor) -> None:
    """Takes a block into the logarithms of the sums over rows and over columns. In place."""
    torch.logaddexp(rows, scores.logsumexp(1), out=rows)
    torch.logaddexp(columns, scores.logsumexp(0), out=columns)


def _through_blocks(
    on_logits: Callable[[Block], Tensor],
    video: Tensor,
    text: Tensor,
    numbers: Tensor,
    scale: Tensor,
    block_rows: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradient on video, text, scale and bias, of that on the logits of each block."""
    on_video, on_text = torch.zeros_like(video), torch.zeros_like(text)
    on_scale, on_bias = torch.zeros((2,), dtype=torch.float64, device=video.device)
    for block in _blocks(video, text, numbers, block_rows):
        row, column, cosines, _ = block
        slopes = on_logits(block)
        on_video[row].addmm_(slopes, text[column])
        on_text[column].addmm_(slopes.T, video[row])
        on_bias += slopes.sum()
        on_scale += cosines.mul_(slopes).sum()
    on_video *= scale
    on_text *= scale
    return on_video, on_text, on_scale.to(scale.dtype), on_bias.to(scale.dtype)

"""Losses that couple the samples of a batch, with the gradient of the whole by micro-batches.

Source: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (2021).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from typing_extensions import override

from reelfit.training.parts import Cut, PartLosses

Embeddings = dict[str, Shaped[Tensor, "batch ..."]]


class Across(ABC):
    """A loss across the samples of an effective batch, and what it is computed of."""

    @abstractmethod
    def embed(self, model: nn.Module, part: Any) -> tuple[Embeddings, Float[Tensor, " batch"]]:
        """What the loss needs of each sample, by name, and the loss that each has by itself.

        The loss's gradient goes through tensors of floats; others, such as the numbers of texts,
        are kept beside them. The losses are zeros where there are none; while torch's gradient is
        off they are not looked at. It is called twice for each part and must draw the same numbers
        from torch's generator, which is seeded alike, until the embeddings stand.
        """

    @abstractmethod
    def loss(self, model: nn.Module, embeddings: Embeddings) -> Float[Tensor, ""]:
        """The mean over the samples of the whole batch; its own memory is to be bounded.

        It may use parameters of ``model`` directly, such as a temperature. It is called once, and
        without autocast: embeddings in half precision arrive in float32.
        """


@final
class CachedGradient(PartLosses):
    """The parts of a loss across samples: embeddings first, then each part's share of the gradient.

    All embeddings are made without their graphs; then comes the loss and its gradient on them. The
    loss of a part is its own losses, with the cached gradient behind its embeddings. A batch that
    is not cut takes one pass.

    Memory: each embedding and its gradient, so that a sample with 2 vectors of 256 numbers takes
    4 KiB; the graph of one part; what the loss takes.
    """

    def __init__(self, model: nn.Module, across: Across, cut: Cut) -> None:
        self.model = model
        self.across = across
        self.cut = cut
        self._gradients: dict[str, Tensor] = {}

    @override
    def prepare(self) -> None:
        """Caches the gradient on the embeddings; that on the model's own scalars stays there."""
        if len(self.cut.bounds) == 1:
            return
        whole = self._all_embeddings()
        for tensor in whole.values():
            tensor.requires_grad_(tensor.is_floating_point())
        loss = self.cut.scale(self._loss(whole))
        loss.backward()  # type: ignore[no-untyped-call]
        self.value = float(loss.detach())
        found = {name: tensor.grad for name, tensor in whole.items()}
        self._gradients = {name: grad for name, grad in found.items() if grad is not None}

    @override
    def of_part(self, number: int) -> Float[Tensor, ""]:
        """The backward pass of what it gives is that of the loss across the samples as well.

        Where a batch that is cut is not prepared yet, it is a forward pass, without that gradient.
        """
        begin, end = self.cut.bounds[number]
        embeddings, own = self._embed(number)
        loss = self.cut.scale(own.sum() / self.cut.samples)
        if len(self.cut.bounds) == 1:
            return loss + self.cut.scale(self._loss(_in_float32(embeddings)))
        for name, gradient in self._gradients.items():
            if embeddings[name].requires_grad:
                slope = (embeddings[name].to(gradient.dtype) * gradient[begin:end]).sum()
                loss = loss + (slope - slope.detach())  # no part of the loss's value
        return loss

    @torch.no_grad()
    def _all_embeddings(self) -> Embeddings:
        """Memory: what stays of each sample, and the forward pass of one part."""
        whole: Embeddings = {}
        with _kept_buffers(self.model):
            for number, (begin, end) in enumerate(self.cut.bounds):
                for name, tensor in _in_float32(self._embed(number)[0]).items():
                    if name not in whole:
                        whole[name] = tensor.new_empty((self.cut.samples, *tensor.shape[1:]))
                    whole[name][begin:end] = tensor
        return whole

    def _embed(self, number: int) -> tuple[Embeddings, Tensor]:
        begin, end = self.cut.bounds[number]
        with self.cut.part(number) as part:
            embeddings, own = self.across.embed(self.model, part)
        rows = {name: len(tensor) for name, tensor in embeddings.items()} | {"losses": len(own)}
        if set(rows.values()) != {end - begin}:
            raise ValueError(f"of {end - begin} samples there are as many rows, not {rows}")
        return embeddings, own

    def _loss(self, embeddings: Embeddings) -> Tensor:
        loss = self.across.loss(self.model, embeddings)
        if loss.shape != ():
            raise ValueError(f"a loss across samples of shape {tuple(loss.shape)}: give their mean")
        return loss


@contextmanager
def _kept_buffers(model: nn.Module) -> Iterator[None]:
    """Buffers are as they were: the second pass over the same samples is what changes them."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def _in_float32(embeddings: Embeddings) -> Embeddings:
    """Cosines and their gradients need more than half precision."""
    halves = torch.float16, torch.bfloat16
    return {name: t.float() if t.dtype in halves else t for name, t in embeddings.items()}


@final
class Gathered(Across):
    """A loss across the samples of all processes of a group, each of which embeds its own.

    Each process gets the gradient of which the mean over the processes is that of one process with
    all samples, as a mean of all ``.grad`` makes it: that of the encoders through its own rows
    times the processes, that of the model's own scalars whole. The step's loss is that across all
    samples and the mean of this process's own losses.

    An ``ExactStep`` neither exchanges gradients nor agrees with those of other processes: which of
    them ran out of memory, and how the batch is cut, is each one's affair. A process that fails
    before its embeddings are gathered lets the others wait.
    """

    def __init__(self, across: Across, group: "torch.distributed.ProcessGroup | None" = None):
        self.across = across
        self.group = group

    @override
    def embed(self, model: nn.Module, part: Any) -> tuple[Embeddings, Float[Tensor, " batch"]]:
        """Of this process's samples."""
        return self.across.embed(model, part)

    @override
    def loss(self, model: nn.Module, embeddings: Embeddings) -> Float[Tensor, ""]:
        """Of all samples, in each process.

        Memory: the embeddings of all processes.

        Raises:
            ValueError: the processes have different numbers of samples.
        """
        all_rows: Any = _AllRows.apply
        whole = {name: all_rows(rows, self.group) for name, rows in embeddings.items()}
        return self.across.loss(model, whole)


@final
class _AllRows(torch.autograd.Function):
    """The rows of all processes in the order of their ranks; the gradient is of one's own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: Any) -> Tensor:
        distributed = torch.distributed
        world, ctx.rank = distributed.get_world_size(group), distributed.get_rank(group)
        counts = [torch.empty((), dtype=torch.int64, device=rows.device) for _ in range(world)]
        distributed.all_gather(counts, torch.tensor(len(rows), device=rows.device), group=group)
        if len(found := {int(count) for count in counts}) > 1:
            raise ValueError(f"processes have {sorted(found)} samples: give each as many")
        ctx.rows, ctx.world = len(rows), world
        whole = rows.new_empty((world * len(rows), *rows.shape[1:]))
        distributed.all_gather(list(whole.chunk(world)), rows.contiguous(), group=group)
        return whole

    @staticmethod
    def backward(ctx: Any, whole: Tensor) -> tuple[Tensor, None]:
        own = whole[ctx.rank * ctx.rows : (ctx.rank + 1) * ctx.rows]
        return own * ctx.world, None

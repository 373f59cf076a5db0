"""Batch norm over an effective batch that no forward pass holds whole.

A layer in training mode normalises by the statistics of what it is given, so that a batch cut into
parts gives another gradient than the whole. Here the statistics are those of the whole batch, and
so is the gradient, through them as well.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reelfit.training.parts import PartLosses

Pass = Callable[[int], Tensor]
"""The summed losses of one part of the batch, by its number."""


def coupled_layers(model: nn.Module) -> list[_BatchNorm]:
    """The layers in which the samples of a forward pass see each other, as far as can be told."""
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
    ]


@contextmanager
def frozen(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """The layers use, and leave, their running statistics inside.

    Raises:
        ValueError: a layer keeps none.
    """
    if any(layer.running_mean is None for layer in layers):
        raise ValueError("a batch norm layer keeps no running statistics: it cannot be frozen")
    modes = [layer.training for layer in layers]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)


@dataclass
class _Statistics:
    """Mean and biased variance of what a layer is given, over the whole effective batch."""

    mean: Float[Tensor, " channel"]
    variance: Float[Tensor, " channel"]
    count: int

    def joined(self, other: "_Statistics") -> "_Statistics":
        """Source: Chan, Golub and LeVeque, Updating formulae (1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        variance = (
            self.variance * self.count
            + other.variance * other.count
            + shift**2 * (self.count * other.count / count)
        ) / count
        return _Statistics(self.mean + shift * (other.count / count), variance, count)


class _Reached(Exception):  # noqa: N818  no error: the layer asked for was reached
    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs


def accumulate_exactly(layers: Sequence[_BatchNorm], of: PartLosses) -> float:
    """The scaled loss of the batch, its gradient accumulated, running statistics updated once.

    Each pass over a part must draw the same random numbers, and so its cut has a seed. The cost
    is a forward pass per layer for the statistics, and a forward and backward pass per layer for
    the gradient that flows through them. Memory: the graph of one part.

    Raises:
        ValueError: a layer is used twice in one forward pass.

    Source: Ioffe and Szegedy, Batch Normalization (2015); the gradient by the chain rule over the
    statistics, last layer first.
    """
    losses, parts = of.of_part, len(of.cut.bounds)
    order = _order_of_use(layers, losses)
    known: dict[_BatchNorm, _Statistics] = {}
    for layer in order:
        known[layer] = _statistics_of(layer, known, losses, parts)
    for statistics in known.values():
        statistics.mean.requires_grad_()
        statistics.variance.requires_grad_()
    with _replaced(order, known):
        total = of.accumulate()
    for layer in reversed(order):
        _through_statistics(layer, known, losses, parts)
    for layer in order:
        _update_running(layer, known[layer])
    return total


def _order_of_use(layers: Sequence[_BatchNorm], losses: Pass) -> list[_BatchNorm]:
    used: list[_BatchNorm] = []
    watches = [
        layer.register_forward_pre_hook(lambda module, _: used.append(module)) for layer in layers
    ]
    try:
        with torch.no_grad(), frozen([layer for layer in layers if layer.running_mean is not None]):
            losses(0)
    finally:
        for watch in watches:
            watch.remove()
    if len(set(used)) < len(used):
        raise ValueError("a batch norm layer is used twice in one forward pass")
    return used


def _statistics_of(
    layer: _BatchNorm, known: dict[_BatchNorm, _Statistics], losses: Pass, parts: int
) -> _Statistics:
    found: _Statistics | None = None
    with torch.no_grad(), _replaced(list(known), known), _ending_at(layer):
        for part in range(parts):
            inputs = _wide(_inputs_of(losses, part))
            axes = _axes(inputs)
            variance, mean = torch.var_mean(inputs, axes, correction=0)
            of_part = _Statistics(mean, variance, inputs.numel() // inputs.shape[1])
            found = of_part if found is None else found.joined(of_part)
    assert found is not None
    return found


def _through_statistics(
    layer: _BatchNorm, known: dict[_BatchNorm, _Statistics], losses: Pass, parts: int
) -> None:
    """Adds the gradient that reaches the parameters through one layer's statistics."""
    of_layer = known[layer]
    to_mean, to_variance = of_layer.mean.grad, of_layer.variance.grad
    if to_mean is None or to_variance is None:  # nothing after it depends on its statistics
        return
    centre = of_layer.mean.detach()
    with _replaced(list(known), known), _given(layer) as given:
        for part in range(parts):
            given.clear()
            losses(part)
            inputs = given[0]  # a checkpointed block gives it once more in the backward pass
            if not inputs.requires_grad:  # nothing before it is trained
                return
            inputs, axes = _wide(inputs), _axes(inputs)
            centred = inputs - centre.view(_shape(inputs))
            slope = (inputs.sum(axes) * to_mean + centred.square().sum(axes) * to_variance).sum()
            (slope / of_layer.count).backward()  # type: ignore[no-untyped-call]


def _inputs_of(losses: Pass, part: int) -> Tensor:
    try:
        losses(part)
    except _Reached as reached:
        return reached.inputs
    raise AssertionError("the layer was not reached")


@contextmanager
def _replaced(layers: Sequence[_BatchNorm], known: dict[_BatchNorm, _Statistics]) -> Iterator[None]:
    """``layers`` normalise by what is known."""
    try:
        for layer in layers:
            layer.forward = partial(_normalised, layer, known[layer])  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


@contextmanager
def _ending_at(layer: _BatchNorm) -> Iterator[None]:
    """A forward pass ends where it reaches ``layer``."""

    def stop(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        raise _Reached(given[0])

    with layer.register_forward_pre_hook(stop):
        yield


@contextmanager
def _given(layer: _BatchNorm) -> Iterator[list[Tensor]]:
    """What ``layer`` was given in the forward passes inside."""
    found: list[Tensor] = []
    with layer.register_forward_pre_hook(lambda _, given: found.append(given[0])):
        yield found


def _normalised(layer: _BatchNorm, statistics: _Statistics, inputs: Tensor) -> Tensor:
    shape = _shape(inputs)
    scale = (statistics.variance + layer.eps).rsqrt()
    outputs = (_wide(inputs) - statistics.mean.view(shape)) * scale.view(shape)
    if layer.affine:
        outputs = outputs * layer.weight.view(shape) + layer.bias.view(shape)
    return outputs.to(inputs.dtype)


def _update_running(layer: _BatchNorm, statistics: _Statistics) -> None:
    if layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked += 1
    share = layer.momentum
    if share is None:
        share = 1.0 / float(layer.num_batches_tracked)
    unbiased = statistics.variance.detach() * (statistics.count / max(statistics.count - 1, 1))
    layer.running_mean.lerp_(statistics.mean.detach().to(layer.running_mean.dtype), share)
    layer.running_var.lerp_(unbiased.to(layer.running_var.dtype), share)


def _axes(inputs: Tensor) -> list[int]:
    return [axis for axis in range(inputs.ndim) if axis != 1]


def _shape(inputs: Tensor) -> list[int]:
    return [1, -1, *[1] * (inputs.ndim - 2)]


def _wide(inputs: Tensor) -> Tensor:
    """Sums over a batch need more than half precision."""
    return inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs

"""The rungs of the ladder: ways to run one step in less memory that leave its result as it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

TECHNIQUES: Final = ("plain", "checkpointing", "offload")
"""How activations are kept until the backward pass, from the fastest to the smallest: as they come;
recomputed block by block; moved to host memory, which helps a GPU alone."""


@dataclass(frozen=True)
class Rung:
    """How a step is cut: samples per forward pass, and what becomes of its activations."""

    micro_batch: int
    technique: str = "plain"


def techniques_of(model: nn.Module, device: torch.device) -> tuple[str, ...]:
    """The techniques that can save anything for this model on this device, fastest first."""
    found = ["plain"]
    if any(True for _ in _blocks(model)):
        found.append("checkpointing")
    if device.type == "cuda":
        found.append("offload")
    return tuple(found)


def rung_below(rung: Rung, techniques: Sequence[str]) -> Rung | None:
    """The next way to need less: half the micro-batch, then the next technique; None at the end."""
    if rung.micro_batch > 1:
        return Rung(-(-rung.micro_batch // 2), rung.technique)
    further = techniques[techniques.index(rung.technique) + 1 :]
    return Rung(1, further[0]) if further else None


def smaller_rung(one: Rung, other: Rung) -> Rung:
    """Of two rungs the one that needs less."""
    return max(one, other, key=lambda rung: (TECHNIQUES.index(rung.technique), -rung.micro_batch))


def applied(model: nn.Module, technique: str) -> AbstractContextManager[Any]:
    """Forward and backward passes of ``model`` inside keep their activations by ``technique``."""
    if technique == "plain":
        return nullcontext()
    if technique == "offload":
        return save_on_cpu(pin_memory=True)
    assert technique == "checkpointing", technique
    return _checkpointed(model)


@contextmanager
def _checkpointed(model: nn.Module) -> Iterator[None]:
    """Each block keeps its inputs alone and is computed again in the backward pass."""
    changed: list[nn.Module] = []
    try:
        for module, forward in _blocks(model):
            module.forward = forward  # of this instance alone: the class and the weights stay
            changed.append(module)
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _blocks(model: nn.Module) -> Iterator[tuple[nn.Module, Callable[..., Any]]]:
    """The modules whose forward is to be replaced, each with what replaces it.

    They are the children of the outermost lists and sequences. Single layers of a sequence are
    joined: a block begins with each one that has a matrix or a kernel.
    """
    if isinstance(model, nn.Sequential):
        blocks = _joined(model)
        if len(blocks) > 1:
            yield model, partial(_through, blocks)
            return
    if isinstance(model, nn.ModuleList) and len(model) > 1:
        for child in model:
            if _has_matrix(child):
                yield child, partial(_again, [child], child.forward)
        return
    for child in model.children():
        yield from _blocks(child)


def _joined(sequence: nn.Sequential) -> list[nn.Sequential]:
    blocks: list[list[nn.Module]] = []
    for layer in sequence:
        if _has_matrix(layer) or not blocks:
            blocks.append([])
        blocks[-1].append(layer)
    return [nn.Sequential(*layers) for layers in blocks]


def _has_matrix(module: nn.Module) -> bool:
    """Whether there is anything in it whose activations are worth a second pass."""
    return any(parameter.ndim > 1 for parameter in module.parameters())


def _through(blocks: Sequence[nn.Sequential], inputs: Tensor) -> Any:
    for block in blocks:
        inputs = _again([block], block, inputs)
    return inputs


def _again(owners: list[nn.Module], forward: Callable[..., Any], *args: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **named)
    buffers = [buffer for owner in owners for buffer in owner.buffers()]
    return checkpoint(
        forward,
        *args,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _kept(buffers)),
        **named,
    )


@contextmanager
def _kept(buffers: list[Tensor]) -> Iterator[None]:
    """Buffers are as they were: without it batch norm would count the second pass as well."""
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.data.copy_(value)  # .data: the backward pass saw another version otherwise

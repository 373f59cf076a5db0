"""The largest tensors alive, each storage once, by the names that are known: values, no tensors."""

import gc
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

MOST = 20


def largest_tensors(
    model: nn.Module, *, batch: Any = None, most: int = MOST
) -> list[dict[str, Any]]:
    """Shape, dtype, device, bytes and name of each of the largest storages alive, largest first.

    ``made_by`` and ``saved_for`` are functions of autograd, where it knows of them. Called where
    memory has just run out it may find none itself: then the list is empty. No tensor is kept, and
    none is computed: neither a checkpoint nor an offloaded activation is brought back.

    Memory: a list of all Python objects, some MiB, and a row per storage.
    """
    try:
        return _census(model, batch, most)
    except (MemoryError, RuntimeError):  # what little there was is the work's, not the report's
        return []


def largest_kept(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any = None
) -> tuple[str, int] | None:
    """Name and bytes of the largest tensor that stays between passes; None where there is none.

    It is a parameter, whose gradient is as large, a state of the optimizer, a buffer or a part of
    the batch. Activations live within a pass alone and are not looked for, so that this takes no
    time to speak of and may be asked from another thread, every second. Gradients are not touched:
    a backward pass sets them without the interpreter's lock, and a thread that reads one meanwhile
    ends the process.
    """
    kept = chain(_named(model, batch, gradients=False), _optimizer_state(optimizer, model))
    try:
        return max(((name, tensor.nbytes) for name, tensor in kept), key=lambda it: it[1])
    except (RuntimeError, ValueError, MemoryError):  # it changes meanwhile, is empty, has no room
        return None


def _census(model: nn.Module, batch: Any, most: int) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    functions = []
    for name, tensor in _named(model, batch, gradients=True):
        _count(rows, tensor, name=name)
    for found in gc.get_objects():
        kind = type(found)  # isinstance would ask proxies, whose objects may be gone
        if issubclass(kind, torch.optim.Optimizer):
            for name, tensor in _optimizer_state(found, model):
                _count(rows, tensor, name=name)
        elif issubclass(kind, Tensor):
            function = found.grad_fn
            if function is not None:
                functions.append(function)
            _count(rows, found, made_by=function and function.name())
    for role, function_name, tensor in _saved(functions):
        _count(rows, tensor, **{role: function_name})
    return sorted(rows.values(), key=lambda row: -row["bytes"])[:most]


def _named(model: nn.Module, batch: Any, *, gradients: bool) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        yield f"parameter {name}", parameter
        if gradients and parameter.grad is not None:
            yield f"gradient of {name}", parameter.grad
    for name, buffer in model.named_buffers():
        yield f"buffer {name}", buffer
    for name, tensor in tensors_of(batch, "batch"):
        yield name, tensor


def tensors_of(batch: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested tuples, lists and dicts, each with its place: ``batch[0]``."""
    if isinstance(batch, Tensor):
        yield name, batch
    elif isinstance(batch, dict):
        for key, value in batch.items():
            yield from tensors_of(value, f"{name}[{key!r}]")
    elif isinstance(batch, tuple | list):
        for place, value in enumerate(batch):
            yield from tensors_of(value, f"{name}[{place}]")


def _optimizer_state(
    optimizer: torch.optim.Optimizer, model: nn.Module
) -> Iterator[tuple[str, Tensor]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                yield f"{key} of {names.get(id(parameter), 'another model')}", value


def _saved(functions: Iterable[Any]) -> Iterator[tuple[str, str, Tensor]]:
    """What the graphs above ``functions`` keep, as it lies there: nothing is unpacked."""
    waiting, seen = list(functions), set()
    while waiting:
        function = waiting.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        waiting += [above for above, _ in function.next_functions]
        for attribute in dir(function):
            if not attribute.startswith("_raw_saved_"):
                continue
            role = "made_by" if attribute.startswith("_raw_saved_result") else "saved_for"
            kept = getattr(function, attribute)
            for saved in kept if isinstance(kept, tuple | list) else [kept]:
                for tensor in _data_of(saved):
                    yield role, function.name(), tensor


def _data_of(saved: Any) -> list[Tensor]:
    try:
        data = saved.data  # where a hook packed it, whatever the hook made of it
    except RuntimeError:  # freed by a backward pass that got this far
        return []
    return [tensor for _, tensor in tensors_of(data, "")]


def _count(rows: dict[int, dict[str, Any]], tensor: Tensor, **known: str | None) -> None:
    try:
        storage = tensor.untyped_storage()
        place, size_bytes = storage.data_ptr(), storage.nbytes()
    except (NotImplementedError, RuntimeError):  # as torch says of sparse and of fake tensors
        return
    if not size_bytes or not place:
        return
    row = rows.get(place)
    if row is None:
        row = rows[place] = {
            "name": None,
            "made_by": None,
            "saved_for": None,
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "device": str(tensor.device),
            "bytes": size_bytes,
        }
    for role, said in known.items():
        row[role] = row[role] or said

"""Batches of any shape: how many samples they hold, and some of these samples."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor


def count_samples(batch: Any) -> int:
    """The length of the first axis, which all tensors of a nested batch share.

    Raises:
        ValueError: there is no tensor, one has no axis, or they differ.
    """
    found = {tensor.shape[0] if tensor.ndim else None for tensor in _tensors(batch)}
    if len(found) != 1 or None in found or 0 in found:
        raise ValueError(
            f"the tensors of a batch need one first axis, the samples, in common; found {found}"
        )
    (count,) = found
    assert count is not None
    return count


def take_samples(batch: Any, begin: int, end: int) -> Any:
    """The samples from ``begin`` to before ``end``, in tuples, lists and dicts as they were."""
    if isinstance(batch, Tensor):
        return batch[begin:end]
    if isinstance(batch, dict):
        return {name: take_samples(part, begin, end) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):  # a named tuple
        return type(batch)(*(take_samples(part, begin, end) for part in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(take_samples(part, begin, end) for part in batch)
    return batch  # a flag or a name belongs to every part


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from _tensors(part)
    elif isinstance(batch, tuple | list):
        for part in batch:
            yield from _tensors(part)

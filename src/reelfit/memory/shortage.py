"""One time that memory ran out, with all that was known of it, as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reelfit.files import write_json
from reelfit.memory.census import largest_tensors, tensors_of
from reelfit.memory.record import gpu_memory, host_memory


def describe_shortage(
    error_text: str,
    *,
    model: nn.Module,
    batch: Any,
    place: Mapping[str, Any],
    budget_bytes: int | None,
    plan: Mapping[str, Any] | None = None,
    largest: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """JSON values that tell what failed, where, on what, and what was held.

    ``place`` is model, fold, epoch, step, samples, micro_batch, technique, as far as known.
    ``largest`` is what ``largest_tensors`` found at the moment of failure, inside the except block:
    afterwards the failed graph is gone, and with it most of what was large. Without it, or where
    there was no memory to look, what is alive now is told. All else is asked for here, to be called
    after the recovery, when there is room for it.
    """
    at_failure = bool(largest)
    host, gpu = host_memory(), gpu_memory()
    return {
        "message": error_text,
        "place": dict(place),
        "batch": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in tensors_of(batch, "batch")
        },
        "budget_bytes": budget_bytes,
        "plan": None if plan is None else dict(plan),
        "host": {
            "resident_bytes": host.rss_bytes,
            "data_bytes": host.data_bytes,
            "peak_bytes": host.peak_bytes,
        },
        "gpu": gpu or None,
        "allocator": torch.cuda.memory_summary() if gpu else _process_summary(),
        "tensors_seen": "at the failure" if at_failure else "after the recovery",
        "largest_tensors": list(largest) if largest else largest_tensors(model, batch=batch),
    }


def write_shortage(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes what ``describe_shortage`` told, whole or not at all.

    Raises:
        RunError: the disk is full.
    """
    write_json(path, facts)


def _process_summary() -> dict[str, int] | None:
    """How the kernel sums up this process's mappings, in bytes; None where none does.

    Source: proc(5), smaps_rollup.
    """
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines[1:])  # the first line is the range
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in pairs}

"""What a unit may hold: sizes as people write them, and what this machine or container has free."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from reelfit.settings import Settings

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?b)?|b)?\s*", re.IGNORECASE)
FREE_SHARE = 0.9
"""Of what is free now, the part that ``auto`` takes: other programs grow as well."""
_CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
UNIT_BYTES = 2**30
"""The least that a child process with torch is given: imports alone hold about a quarter of it."""


def parse_size(text: object) -> int:
    """Bytes from ``8GiB``, ``8192MiB``, ``8G`` (binary, as schedulers count) or ``8GB`` (decimal).

    Raises:
        ValueError: not a size, or a number without its unit.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"{text} has no unit: write {text:g}GiB or {text:g}MiB")
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a size: write for example 8GiB or 512MiB")
    number, prefix, suffix = match.groups()
    if match[0].strip() == number:
        raise ValueError(f"{number} has no unit: write {number}GiB or {number}MiB")
    decimal = suffix is not None and suffix.lower() == "b"
    power = "kmgt".index(prefix.lower()) + 1 if prefix else 0
    size = int(float(number) * (1000 if decimal else 1024) ** power)
    if size < 1:
        raise ValueError(f"{text!r} is no memory at all")
    return size


def format_size(size_bytes: float | int) -> str:
    """``1.5 GiB`` for 1610612736."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit != "MiB" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def _size_or_auto(value: Any) -> Any:
    return value if value == "auto" else parse_size(value)


def _size_text(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value}B"


Size = Annotated[
    int | Literal["auto"],
    BeforeValidator(_size_or_auto),
    PlainSerializer(_size_text),
    WithJsonSchema({"type": "string", "examples": ["auto", "8GiB", "512MiB"]}),
]
"""Bytes, or ``auto``: what is free when the run starts, less a margin."""


class MemorySettings(Settings):
    """What the run may hold; it changes how the work is cut, never its result."""

    gpu: Size = "auto"
    """The most that one process may hold on its GPU, for example 8GiB."""
    host: Size = "auto"
    """The most that all processes of the run may hold in main memory, for example 6GiB."""


@dataclass(frozen=True)
class FreeMemory:
    """Main memory that a new process could have, of how much, and who says that it is no more."""

    free_bytes: int
    total_bytes: int
    bounded_by: Literal["machine", "container"]


def free_memory() -> FreeMemory:
    """What is free now, within the machine or within this container's limit if that is less."""
    machine = psutil.virtual_memory()
    found = [FreeMemory(machine.available, machine.total, "machine")]
    for group, limit, usage, cache in _CONTROL_GROUPS:
        try:
            bound = int((group / limit).read_text())
            used = int((group / usage).read_text())
            facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # another version of control groups, or no limit ("max")
            continue
        free = bound - used + int(facts.get(cache, 0))  # the kernel drops cached files
        found.append(FreeMemory(max(free, 0), bound, "container"))
    return min(found, key=lambda memory: memory.free_bytes)


def host_budget(asked: int | str) -> int:
    """Bytes of main memory for the whole run: as asked, or what is free here less a margin."""
    return asked if isinstance(asked, int) else int(free_memory().free_bytes * FREE_SHARE)


def gpu_budget(asked: int | str, gpus: Sequence[Mapping[str, Any]]) -> int | str:
    """Bytes of the first GPU for one process: as asked, or what is free there less a margin.

    ``gpus`` are as ``memory.devices`` has them; without one, what was asked stands.
    """
    if isinstance(asked, int) or not gpus:
        return asked
    return int(gpus[0]["free_bytes"] * FREE_SHARE)


def available_cores() -> int:
    """Processors that this process may use, which on a shared machine are fewer than it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def affordable_workers(host_bytes: int) -> int:
    """Child processes that run side by side: one per processor, while each has its least."""
    return max(1, min(available_cores(), host_bytes // UNIT_BYTES))

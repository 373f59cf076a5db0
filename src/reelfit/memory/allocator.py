"""What a child process's environment says before it starts: how it allocates, how many threads.

The C library and torch read these once, when they are loaded; of a process that runs already, only
the threshold of large blocks can still be set.
"""

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GPU_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
"""The one name of three that every torch from 2.6 on reads; the others are as good to a user."""
MMAP_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
MMAP_BYTES = 128 * 2**10
_ITS_OTHER_NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True)
class Variable:
    """One variable of a child's environment: its value, whose it is, and what it is for."""

    name: str
    value: str
    set_by: Literal["reelfit", "user"]
    why: str


def child_variables(
    environment: Mapping[str, str], *, threads: int, trains: bool = True
) -> list[Variable]:
    """What Reelfit sees to in a child's environment; what the user set stands.

    ``trains`` is for children whose memory is planned by their tensors.
    """
    found = []
    for name, value, why in _settings(threads, trains):
        theirs = next((n for n in _names(name) if n in environment), None)
        if theirs is None:
            found.append(Variable(name, value, "reelfit", why))
        else:
            found.append(Variable(theirs, environment[theirs], "user", why))
    return found


def child_environment(
    environment: Mapping[str, str], *, threads: int, trains: bool = True
) -> dict[str, str]:
    """The whole environment of a child."""
    variables = child_variables(environment, threads=threads, trains=trains)
    return {**environment, **{v.name: v.value for v in variables}}


def map_large_blocks(least_bytes: int = MMAP_BYTES) -> None:
    """Lets tensors of this very process go back to the system when they are freed.

    Blocks of ``least_bytes`` and more are meant. For a process that was not started with
    ``child_environment``: glibc's threshold else follows the largest block that was freed, and
    under a limit on the data segment the holes of a heap, which count, soon leave no room for one
    sample. What the user set in the environment stands.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux") or MMAP_THRESHOLD in os.environ:
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(-3, least_bytes)  # M_MMAP_THRESHOLD


def _names(name: str) -> tuple[str, ...]:
    return (name, *_ITS_OTHER_NAMES) if name == GPU_ALLOCATOR else (name,)


def may_have_gpu() -> bool:
    """Whether the system has the driver's files, which says nothing of torch."""
    return any(device.exists() for device in _GPU_DEVICES)


def _settings(threads: int, trains: bool) -> Iterator[tuple[str, str, str]]:
    """Name, value and reason; benchmarks/allocator.py measures what each is worth."""
    if sys.platform.startswith("linux"):
        yield (
            "MALLOC_ARENA_MAX",
            "1",
            "with one arena, what one thread frees is used by the next, and a hard limit is "
            "met by an exception and not by a crash",
        )
        if trains:  # decoding takes twice the processor's time with it, to hold 41 MiB for 43
            yield (
                MMAP_THRESHOLD,
                str(MMAP_BYTES),
                "in children that train, tensors go back to the system when they are freed, so "
                "that resident memory follows the live ones and a plan can be kept",
            )
        yield (
            "THP_MEM_ALLOC_ENABLE",
            "1",
            "torch asks for huge pages for tensors of 2 MiB and more, which wins back much of the "
            "time that giving memory back costs",
        )
    yield (
        "OMP_NUM_THREADS",  # MKL and OpenBLAS follow it, where the user set nothing of their own
        str(threads),
        "processes side by side share the processors and do not fight for them",
    )
    yield "POLARS_MAX_THREADS", str(threads), "the same for tables"
    if may_have_gpu():
        yield (
            GPU_ALLOCATOR,
            "expandable_segments:True",
            "a segment grows in place, so that another micro-batch's sizes leave no holes",
        )
    yield "PYTHONUNBUFFERED", "1", "what a child printed before it was killed stands in its log"

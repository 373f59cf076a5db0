"""Giving memory that is free already back to where it came from: the rituals, one function each."""

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import Field

from reelfit.settings import Settings


class ReleaseSettings(Settings):
    """When a training process gives back memory that is free already.

    After a stage or a fold there is nothing to give back: its process ends.
    """

    after_epoch: bool = False
    """After the last step of an epoch, collect garbage and give free blocks back."""
    every_batches: int | None = Field(default=None, ge=1)
    """Give free blocks back after every so many steps: to the GPU's driver, else to the system."""


def release(asked: ReleaseSettings | None, *, steps: int, steps_per_epoch: int) -> None:
    """Does what is asked for after ``steps`` steps of training; mostly nothing."""
    if asked is None:
        return
    if asked.after_epoch and steps % steps_per_epoch == 0:
        collect_garbage()
        give_back_free_blocks()
    elif asked.every_batches is not None and steps % asked.every_batches == 0:
        give_back_free_blocks()


def give_back_free_blocks() -> None:
    """Returns what torch keeps on the GPU to its driver, and what glibc keeps to the system.

    Source: torch.cuda.empty_cache; malloc_trim(3).
    """
    cuda = sys.modules.get("torch.cuda")
    if cuda is not None and getattr(cuda, "is_initialized", bool)():
        # 0.01 ms without a GPU; on one not measured yet. It gives torch no more memory than it had:
        # what it gives back serves other programs, and blocks that no longer match any size.
        cuda.empty_cache()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)  # 1 to 2 ms; 9 to 13 MiB of a training process, 601 of one whose backward failed


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim  # type: ignore[no-any-return]


def collect_garbage() -> int:
    """Three rounds, as the systems before us did: a finaliser may leave new garbage behind.

    Returns the objects found.
    """
    # 536 to 574 ms of a process with torch, 0.03 to 0.05 after gc.freeze(), and 0 MiB freed: it is
    # done where a study asks for it alone (benchmarks/release.py).
    return sum(gc.collect() for _ in range(3))

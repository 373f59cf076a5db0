"""Giving memory that is free already back to where it came from: the rituals, one function each."""

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back_free_blocks() -> bool:
    """Lets glibc return to the system what this process has freed; False where there is no glibc.

    Source: malloc_trim(3).
    """
    trim = _malloc_trim()
    return trim is not None and bool(trim(0))


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
    return sum(gc.collect() for _ in range(3))


def empty_device_cache() -> None:
    """Returns to the GPU's driver the blocks that torch keeps for later; nothing without a GPU."""
    cuda = sys.modules.get("torch.cuda")
    if cuda is not None and getattr(cuda, "is_initialized", bool)():
        cuda.empty_cache()

"""Hard limits behind the budget, so that an overrun is an exception before it is a kill."""

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reelfit.errors import OutOfMemoryError
from reelfit.memory.budget import format_size
from reelfit.memory.record import MIB, host_memory


def limit_host_memory(budget_bytes: int) -> bool:
    """Lets this process's writable memory grow to ``budget_bytes``, counted from what it holds.

    Allocations beyond it fail and can be recovered from. What imports and thread stacks have
    reserved without touching is not charged. False where the system knows no such limit.

    Raises:
        OutOfMemoryError: the process holds as much already, so that nothing could be done.

    Source: getrlimit(2), RLIMIT_DATA.
    """
    if not sys.platform.startswith("linux"):
        return False
    import resource  # not on Windows

    held = host_memory()
    if budget_bytes <= held.rss_bytes:
        raise OutOfMemoryError(
            f"this process may hold {format_size(budget_bytes)} of main memory and holds "
            f"{format_size(held.rss_bytes)} before its work begins: raise memory.host"
        )
    limit = budget_bytes - held.rss_bytes + held.data_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return True


def hard_limit_holds() -> bool:
    """Whether this system keeps a process to such a limit: tried out here, and undone."""
    if not sys.platform.startswith("linux"):
        return False
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = host_memory().data_bytes + 16 * MIB
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return True
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
    return False


@contextmanager
def room_for_file(file_bytes: int) -> Iterator[None]:
    """Lets a file of this size be mapped inside, beside all that the limit allows.

    What reads checkpoints maps the file as if it would change it, and that counts as data, though
    its pages can be dropped at any time.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        yield
        return
    raised = soft + file_bytes
    if hard != resource.RLIM_INFINITY:
        raised = min(raised, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (raised, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_gpu_memory(budget_bytes: int, *, device: Any = None) -> None:
    """Lets torch's caching allocator hold ``budget_bytes`` of a GPU, and no more.

    It is ``device``, a torch device, else the current one.

    The CUDA context and libraries hold some hundred MiB beside it, which no process can limit.

    Raises:
        OutOfMemoryError: the GPU has less memory than that.
    """
    import torch

    total = torch.cuda.get_device_properties(device).total_memory
    if budget_bytes > total:
        raise OutOfMemoryError(
            f"memory.gpu is {format_size(budget_bytes)}, the GPU has {format_size(total)}"
        )
    torch.cuda.set_per_process_memory_fraction(budget_bytes / total, device)

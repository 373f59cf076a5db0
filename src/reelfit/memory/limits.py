"""Hard limits behind the budget, so that an overrun is an exception before it is a kill."""

import mmap
import sys

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


def limit_gpu_memory(budget_bytes: int) -> None:
    """Lets torch's caching allocator hold ``budget_bytes`` of this process's GPU, and no more.

    The CUDA context and libraries hold some hundred MiB beside it, which no process can limit.

    Raises:
        OutOfMemoryError: the GPU has less memory than that.
    """
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    if budget_bytes > total:
        raise OutOfMemoryError(
            f"memory.gpu is {format_size(budget_bytes)}, the GPU has {format_size(total)}"
        )
    torch.cuda.set_per_process_memory_fraction(budget_bytes / total)

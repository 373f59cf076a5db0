"""A hard limit behind the budget, so that an overrun is an exception before it is a kill."""

import sys

from reelfit.memory.record import host_memory


def limit_host_memory(budget_bytes: int) -> bool:
    """Lets this process's writable memory grow to ``budget_bytes``, counted from what it holds.

    Allocations beyond it fail and can be recovered from. What imports and thread stacks have
    reserved without touching is not charged. False where the system knows no such limit.

    Source: getrlimit(2), RLIMIT_DATA.
    """
    if not sys.platform.startswith("linux"):
        return False
    import resource  # not on Windows

    held = host_memory()
    limit = max(budget_bytes - held.rss_bytes, 0) + held.data_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return True

"""What the system says, from outside, of a process's memory and of processes that it killed."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Resident:
    """What a process held when it was last looked at, and the most that the kernel saw it hold."""

    rss_bytes: int
    peak_bytes: int


def resident_of(pid: int) -> Resident | None:
    """What the process holds now; None once it has ended.

    Source: proc(5), VmRSS and VmHWM.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None if sys.platform.startswith("linux") else _elsewhere(pid)
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(b":") for line in status.splitlines())
        if name in (b"VmRSS", b"VmHWM")
    }
    if b"VmRSS" not in sizes:  # ended, and not yet waited for
        return None
    return Resident(sizes[b"VmRSS"], sizes.get(b"VmHWM", sizes[b"VmRSS"]))  # gVisor has no peak


def _elsewhere(pid: int) -> Resident | None:
    try:
        rss = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    return Resident(rss, rss)


def has_hard_limit(pid: int) -> bool:
    """Whether the process's data segment is bounded, so that an overrun fails inside it."""
    if not sys.platform.startswith("linux"):
        return False
    import resource  # not on Windows

    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
    except OSError:  # it has ended
        return False
    return soft != resource.RLIM_INFINITY


def kernel_kills(
    *, processes: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """How many processes the kernel has killed so far because memory was short.

    Those of this process's own control group where the kernel counts them by group, else those of
    the whole machine; None where the system counts neither.

    Source: the kernel's cgroup-v2 (memory.events) and cgroup-v1/memory (memory.oom_control).
    """
    for counter in (*_group_counters(processes, groups), processes / "vmstat"):
        try:
            facts = dict(line.split(maxsplit=1) for line in counter.read_text().splitlines())
            return int(facts["oom_kill"])
        except (OSError, KeyError, ValueError):  # no such file, or an older kernel's
            continue
    return None


def _group_counters(processes: Path, groups: Path) -> Iterator[Path]:
    """The counters of the group that this process is in, and of the root, a container's own."""
    try:
        lines = (processes / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", maxsplit=2)
        if controllers == "":
            yield groups / path.lstrip("/") / "memory.events"
            yield groups / "memory.events"
        elif "memory" in controllers.split(","):
            yield groups / "memory" / path.lstrip("/") / "memory.oom_control"
            yield groups / "memory" / "memory.oom_control"

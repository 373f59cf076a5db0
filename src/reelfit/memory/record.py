"""The memory that this process holds, measured: one figure now, or a log from start to end."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from reelfit.errors import RunError
from reelfit.files import append_json_line
from reelfit.memory.release import give_back_free_blocks

MIB = 2**20


@dataclass(frozen=True)
class HostMemory:
    """Main memory of this process in bytes: resident now, resident at most, writable data."""

    rss_bytes: int
    peak_bytes: int
    data_bytes: int


def host_memory() -> HostMemory:
    """What this process holds, as the kernel counts it on Linux.

    Elsewhere the peak is the highest value that this function has seen.

    Source: proc(5), VmRSS, VmHWM (of this program, not of the one that started it) and VmData.
    """
    with _counting:
        rss, peak, data = _sizes()
        _highest_seen[0] = max(peak, _highest_seen[0])
        return HostMemory(rss, _highest_seen[0], data)


def _sizes() -> tuple[int, int, int]:
    try:
        with open("/proc/self/status", "rb") as opened:  # noqa: PTH123  read at every step
            lines = opened.read().splitlines()
    except OSError:
        rss = psutil.Process().memory_info().rss
        return rss, rss, rss
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(b":") for line in lines)
        if name in (b"VmRSS", b"VmHWM", b"VmData")
    }
    rss = sizes[b"VmRSS"]  # not every system that looks like Linux counts the others
    return rss, sizes.get(b"VmHWM", rss), sizes.get(b"VmData", rss)


_highest_seen = [0]
_restarts = [True]
"""Whether the kernel counts anew when asked."""
_counting = threading.Lock()


def restart_peak() -> None:
    """Lets the kernel count this process's peak anew, where it can; the highest is remembered.

    Source: proc(5), /proc/pid/clear_refs, value 5.
    """
    host_memory()
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as told:  # noqa: PTH123  each step
            told.write(b"5")
    except OSError:
        _restarts[0] = False


def peak_restarts() -> bool:
    """Whether the kernel counts a peak anew when asked, as it did the last time."""
    restart_peak()
    return _restarts[0] and sys.platform.startswith("linux")


def peak_since_restart() -> int:
    """The most that was resident since ``restart_peak``; where no kernel tells, what is now."""
    with _counting:
        rss, peak, _ = _sizes()
    return peak if _restarts[0] else rss


def gpu_memory() -> dict[str, float]:
    """MiB that torch holds on its GPU; empty where this process uses none.

    It never makes the first use itself, which would cost hundreds of MiB here and there, and it may
    be called while another thread is still importing torch.
    """
    cuda = sys.modules.get("torch.cuda")
    if cuda is None or not getattr(cuda, "is_initialized", bool)():
        return {}
    free_bytes, total_bytes = cuda.mem_get_info()
    reserved_bytes = cuda.memory_reserved()
    return {
        "allocated_mb": cuda.memory_allocated() / MIB,
        "reserved_mb": reserved_bytes / MIB,
        "max_allocated_mb": cuda.max_memory_allocated() / MIB,
        "total_memory_mb": total_bytes / MIB,
        "usage_percent": 100 * reserved_bytes / total_bytes,
        "free_mb": free_bytes / MIB,
    }


def _of_host(rss_bytes: int, budget_bytes: int | None) -> dict[str, float]:
    """The same figures where there is no GPU: of the budget, else of the machine."""
    if budget_bytes is None:
        machine = psutil.virtual_memory()
        total_bytes, free_bytes = machine.total, machine.available
    else:
        total_bytes, free_bytes = budget_bytes, max(0, budget_bytes - rss_bytes)
    return {
        "total_memory_mb": total_bytes / MIB,
        "usage_percent": 100 * rss_bytes / total_bytes,
        "free_mb": free_bytes / MIB,
    }


NEARLY_FULL = 0.9
"""The share of the budget from which on a unit is warned of and takes less at once."""
PLACE = ("model", "fold", "epoch", "batch_idx", "global_step")
GPU_ONLY = ("allocated_mb", "reserved_mb", "max_allocated_mb")


@dataclass
class MemoryLog:
    """Writes a line to ``memory.jsonl`` at the start, every ``interval_seconds``, and at the end.

    ``facts`` say whose lines they are. ``place`` is filled in by whoever works (epoch, global_step
    and so on) and stands in each line. Every line has every field, null where it does not apply;
    docs/memory.md tells them.
    """

    path: Path
    facts: dict[str, Any]
    budget_bytes: int | None = None
    interval_seconds: float = 1.0
    warn: Callable[[str], None] = lambda _: None
    place: dict[str, Any] = field(default_factory=dict)
    find_largest: Callable[[], tuple[str, int] | None] = lambda: None
    """Name and bytes of the largest tensor that is kept, by whoever works; from another thread."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _warned: bool = False

    def write(self, phase: str) -> None:
        """Adds one line."""
        now = host_memory()
        sizes = {
            **dict.fromkeys(GPU_ONLY),
            **(gpu_memory() or _of_host(now.rss_bytes, self.budget_bytes)),
            "host_rss_mb": now.rss_bytes / MIB,
            "host_data_mb": now.data_bytes / MIB,
            "host_peak_mb": now.peak_bytes / MIB,
            "budget_mb": None if self.budget_bytes is None else self.budget_bytes / MIB,
        }
        largest = self.find_largest()
        line = {
            "timestamp": time.time(),
            "phase": phase,
            **self.facts,
            **dict.fromkeys(PLACE),
            **self.place,
            **{name: size if size is None else round(size, 2) for name, size in sizes.items()},
            "largest": largest and largest[0],
            "largest_mb": largest and round(largest[1] / MIB, 2),
        }
        append_json_line(self.path, line)
        self._warn_once(now.peak_bytes)

    def pressed(self) -> bool:
        """Whether at least 90 % of the budget were resident at any moment since last asked.

        Asking starts the kernel's count anew. Where it was so, blocks that are free by now go back
        to the system: the next answer is to tell what was needed and not what lay about.
        """
        if self.budget_bytes is None:
            return False
        peak_bytes = peak_since_restart()
        restart_peak()
        self._warn_once(peak_bytes)
        if peak_bytes < NEARLY_FULL * self.budget_bytes:
            return False
        give_back_free_blocks()
        restart_peak()
        return True

    def _warn_once(self, peak_bytes: int) -> None:
        if self._warned or not self.budget_bytes or peak_bytes < NEARLY_FULL * self.budget_bytes:
            return
        self._warned = True
        share = peak_bytes / self.budget_bytes
        self.warn(f"held {share:.0%} of its {self.budget_bytes / MIB:.0f} MiB")

    def _watch(self) -> None:
        while not self._stop.wait(self.interval_seconds):
            try:
                self.write("running")
            except MemoryError:  # there is room for the next line, or the work says so itself
                continue
            except RunError:  # a full disk: the line at the end meets it where it can be shown
                return

    def __enter__(self) -> "MemoryLog":
        self.write("start")
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._watcher is not None
        self._stop.set()
        self._watcher.join()  # or a line could follow the last
        self.write("end")

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
    return sizes[b"VmRSS"], sizes[b"VmHWM"], sizes[b"VmData"]


_highest_seen = [0]


def restart_peak() -> None:
    """Lets the kernel count this process's peak anew, where it can; the highest is remembered.

    Source: proc(5), /proc/pid/clear_refs, value 5.
    """
    _highest_seen[0] = host_memory().peak_bytes
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as told:  # noqa: PTH123  each step
            told.write(b"5")
    except OSError:
        return


def peak_since_restart() -> int:
    """The most that was resident since ``restart_peak``; elsewhere than on Linux, what is now."""
    return _sizes()[1]


def gpu_memory() -> dict[str, float]:
    """MiB that torch holds on its GPU; empty where this process uses none.

    It never makes the first use itself, which would cost hundreds of MiB here and there, and it may
    be called while another thread is still importing torch.
    """
    cuda = sys.modules.get("torch.cuda")
    if cuda is None or not getattr(cuda, "is_initialized", bool)():
        return {}
    return {
        "allocated_mb": cuda.memory_allocated() / MIB,
        "reserved_mb": cuda.memory_reserved() / MIB,
        "max_allocated_mb": cuda.max_memory_allocated() / MIB,
        "total_memory_mb": cuda.get_device_properties(0).total_memory / MIB,
    }


@dataclass
class MemoryLog:
    """Writes a line to ``memory.jsonl`` at the start, every ``interval_seconds``, and at the end.

    ``place`` is filled in by whoever works (epoch, global_step and so on), and stands in each line.
    """

    path: Path
    facts: dict[str, Any]
    budget_bytes: int | None = None
    interval_seconds: float = 1.0
    warn: Callable[[str], None] = lambda _: None
    place: dict[str, Any] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _warned: bool = False

    def write(self, phase: str) -> None:
        """Adds one line."""
        now = host_memory()
        line = {
            "timestamp": time.time(),
            "phase": phase,
            **self.facts,
            **self.place,
            "host_rss_mb": round(now.rss_bytes / MIB, 2),
            "host_peak_mb": round(now.peak_bytes / MIB, 2),
            "host_data_mb": round(now.data_bytes / MIB, 2),
            "budget_mb": None if self.budget_bytes is None else round(self.budget_bytes / MIB, 2),
            **{name: round(value, 2) for name, value in gpu_memory().items()},
        }
        append_json_line(self.path, line)
        if self.budget_bytes and now.rss_bytes > 0.9 * self.budget_bytes and not self._warned:
            self._warned = True
            share = now.rss_bytes / self.budget_bytes
            self.warn(f"holds {share:.0%} of its {self.budget_bytes / MIB:.0f} MiB")

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

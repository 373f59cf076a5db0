"""One child at work: what it says it does, what it holds, and how it ended."""

import subprocess  # nosec
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from reelfit.launch.attempts import Attempt
from reelfit.launch.death import Death, name_of_end
from reelfit.memory.kernel import Resident, has_hard_limit, kernel_kills, resident_of
from reelfit.stages.stage import Unit

LOOKS = 10
"""How many of the kernel's last counts are kept."""


@dataclass
class Running:
    """A child at work, and what is known of it should it die."""

    attempt: Attempt
    process: "subprocess.Popen[bytes]"
    budget_bytes: int
    began: float
    kernel_kills: deque[int | None]
    """The kernel's count at the last looks: what it killed before them was another process, and
    one that it kills can be seen alive for a moment after it was counted."""
    resident: Resident | None = None
    peak_bytes: int = 0
    hard_limit: bool = False
    unfinished: bytes = b""
    answer: dict[str, Any] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    item: str | None = None
    """What it does now, where it said so."""
    item_seconds: float = 0.0
    """How long that may take."""
    item_began: float = 0.0
    hung: str = ""
    """Said of an item that took longer: the child was killed for it."""

    @property
    def unit(self) -> Unit:
        """What it works on."""
        return self.attempt.unit

    def look(self) -> None:
        """Notes what it holds; what it held at the last look is all that is known if it dies."""
        now = resident_of(self.process.pid)
        if now is not None:
            self.resident = now
            self.peak_bytes = max(self.peak_bytes, now.peak_bytes)
            self.hard_limit = has_hard_limit(self.process.pid)
            self.kernel_kills.append(kernel_kills())

    def begin(self, item: str, seconds: float) -> None:
        """Notes what it does from now on."""
        self.item, self.item_seconds, self.item_began = item, seconds, time.monotonic()

    def end_if_hung(self) -> None:
        """Kills it where its item takes longer than it may: native code hears nothing else."""
        if self.item is None or time.monotonic() - self.item_began <= self.item_seconds:
            return
        self.hung = f"it took more than the {self.item_seconds:g} s that it may"
        self.process.kill()

    def death(self) -> Death:
        """What is known of its end."""
        before, after = self.kernel_kills[0], kernel_kills()
        return Death(
            ended_by=name_of_end(self.process.returncode),
            held_bytes=None if self.resident is None else self.resident.rss_bytes,
            budget_bytes=self.budget_bytes,
            hard_limit=self.hard_limit,
            kernel_kills=None if before is None or after is None else after - before,
            repeated=self.attempt.deaths > 0 and self.done <= self.attempt.furthest,
        )

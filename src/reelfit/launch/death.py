"""What is known of a child that ended without saying how, and what follows from it."""

import signal
from dataclasses import dataclass
from typing import Any

from reelfit.memory.budget import format_size
from reelfit.memory.record import MIB

NEAR_BUDGET = 0.85
"""Of its budget: what held that much when last looked at may have held all of it a moment later."""
CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
"""The ends of native code that broke."""


@dataclass(frozen=True)
class Death:
    """What ended a child, what it held when last looked at, and what the kernel says.

    ``kernel_kills`` counts the processes that the kernel killed for memory while the child lived;
    None where it does not count them. ``repeated``: it died before, and got no further since.
    """

    ended_by: str
    held_bytes: int | None
    budget_bytes: int
    hard_limit: bool
    kernel_kills: int | None
    repeated: bool

    def facts(self) -> dict[str, Any]:
        """The same as columns of ``events.jsonl``."""
        return {
            "ended_by": self.ended_by,
            "held_mb": None if self.held_bytes is None else round(self.held_bytes / MIB, 2),
            "budget_mb": round(self.budget_bytes / MIB, 2),
            "hard_limit": self.hard_limit,
            "kernel_kills": self.kernel_kills,
            "short_of_memory": short_of_memory(self),
        }

    def __str__(self) -> str:
        told = f"by {self.ended_by}"
        if self.held_bytes is not None:
            told += f" while it held {format_size(self.held_bytes)} of its"
            told += f" {format_size(self.budget_bytes)}"
        if self.kernel_kills is None:
            return told
        killed = "no process" if not self.kernel_kills else f"{self.kernel_kills} of its processes"
        return f"{told}; the kernel says that it killed {killed} for want of memory"


def short_of_memory(death: Death) -> bool:
    """Whether a unit that died like this should do with less when it is started again.

    A kill by someone's hand must not change the plan: the run has to end with the bits of an
    undisturbed one, and a good plan fills its budget. So the kernel's word that it killed nothing
    counts, until the same happens again at the same place (a daemon that frees memory, such as
    earlyoom, is not counted by the kernel). A crash of native code under a hard limit is most
    likely an allocation that nobody checked: 11 of 166 runs at a limit ended so.
    """
    near = death.held_bytes is not None and death.held_bytes >= NEAR_BUDGET * death.budget_bytes
    if death.ended_by == signal.SIGKILL.name:
        if death.kernel_kills is not None and not death.repeated:
            return death.kernel_kills > 0
        return bool(death.kernel_kills) or near
    return near or (death.hard_limit and death.ended_by in CRASHES)


def name_of_end(status: int) -> str:
    """``SIGKILL`` for -9, as subprocess tells it."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"

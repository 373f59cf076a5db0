"""What a process holds on the device that it trains on, now and at most."""

from dataclasses import dataclass

import torch

from reelfit.memory.record import host_memory, peak_restarts, peak_since_restart, restart_peak


@dataclass(frozen=True)
class Meter:
    """On a GPU what torch's allocator has given out; on a CPU what of the process is resident."""

    device: torch.device

    @property
    def restarts(self) -> bool:
        """Whether the peak of a part of a run can be told from that of the whole."""
        return self.device.type == "cuda" or peak_restarts()

    def restart_peak(self) -> None:
        """From here on the peak counts anew."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            restart_peak()

    def peak_bytes(self) -> int:
        """The most that was held since then."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return peak_since_restart()

    def held_bytes(self) -> int:
        """What is held now."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        return host_memory().rss_bytes

    def untouched_bytes(self) -> int:
        """What is reserved and not resident, which a limit on the data segment counts all the same.

        It is the code that oneDNN compiles for each shape, above all.
        """
        now = host_memory()
        return 0 if self.device.type == "cuda" else now.data_bytes - now.rss_bytes

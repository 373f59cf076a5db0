"""Samples asked about in portions as large as memory allows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from reelfit.errors import OutOfMemoryError
from reelfit.memory.oom import is_out_of_memory, said_of
from reelfit.training.recovery import release_failed_memory

Made = TypeVar("Made")


@dataclass
class Portions:
    """``size`` samples at once, fewer from when memory runs out."""

    size: int
    on_shortage: Callable[[int, str], None] = lambda _size, _said: None
    on_progress: Callable[[int, int], None] = lambda _done, _total: None
    """Takes how many samples are done, of how many."""

    def __call__(self, total: int, use: Callable[[int, int], Made]) -> list[Made]:
        """What ``use`` makes of the samples from its first to before its second number, in order.

        Raises:
            OutOfMemoryError: one sample does not fit.
        """
        found: list[Made] = []
        done = 0
        while done < total:
            end = min(done + self.size, total)
            made, said = self._try(use, done, end)
            if made is None:  # outside the except block, which would hold what failed
                self._take_less(end - done, said)
                continue
            found.append(made[0])
            done = end
            self.on_progress(done, total)
        return found

    def _try(
        self, use: Callable[[int, int], Made], begin: int, end: int
    ) -> tuple[tuple[Made] | None, str]:
        try:
            with torch.inference_mode():
                return (use(begin, end),), ""
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None, said_of(error)

    def _take_less(self, failed: int, said: str) -> None:
        release_failed_memory()
        if failed == 1:
            raise OutOfMemoryError(
                f"one clip does not fit into the memory given, even to be predicted: {said}. "
                "Give more memory, or make clips.frames or clips.size smaller"
            )
        self.size = -(-failed // 2)
        self.on_shortage(self.size, said)

"""How each step was cut, written as it happens: a replay after a kill cuts them alike."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelfit.files import append_json_line, read_json_lines
from reelfit.memory.rungs import Rung


@dataclass
class StepJournal:
    """A line per step: step, epoch, samples, micro_batch, technique; ``skipped`` where it was.

    Where memory runs out differs from run to run, and sums rounded in other groups are other sums:
    a step that is done again after a kill takes the cut that stands here. Of a step that stands
    here several times the last line counts.
    """

    path: Path
    _known: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for line in read_json_lines(self.path):
            self._known[line["step"]] = line
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def rung_of(self, step: int) -> Rung | None:
        """How ``step`` was cut the last time; None for a step that was never done."""
        line = self._known.get(step)
        return None if line is None else Rung(line["micro_batch"], line["technique"])

    def forget(self) -> None:
        """Lets every step be cut anew; what is written stays."""
        self._known.clear()

    def was_skipped(self, step: int) -> bool:
        """Whether the samples of ``step`` were given up, as the study asked."""
        return bool(self._known.get(step, {}).get("skipped"))

    def write(self, step: int, *, epoch: int, samples: int, rung: Rung, skipped: int = 0) -> None:
        """Adds a line; nothing is kept of it in memory.

        Raises:
            RunError: the disk is full.
        """
        line = {
            "step": step,
            "epoch": epoch,
            "samples": samples,
            "micro_batch": rung.micro_batch,
            "technique": rung.technique,
        }
        if skipped:
            line["skipped"] = skipped
        self._known.pop(step, None)
        append_json_line(self.path, line)

"""The checkpoints of one training, written and gone back to."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from reelfit.memory.limits import room_for_file
from reelfit.training.averaging import Averages
from reelfit.training.checkpoint import (
    SUFFIX,
    drop_old_epochs,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from reelfit.training.state import Progress, load_weights, pack_state, unpack_state


@dataclass(frozen=True)
class Archive:
    """What a training is made of, and the folder that its checkpoints stand in.

    The file of metrics goes back with them: what was told after a checkpoint is told again.
    """

    folder: Path
    metrics_file: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    averages: Averages | None

    def save(self, name: str, progress: Progress) -> None:
        """Writes the checkpoint ``name``, whole or not at all."""
        told = self.metrics_file
        progress.metrics_bytes = told.stat().st_size if told.exists() else 0
        packed = pack_state(self.network, self.optimizer, progress, self.averages)
        save_checkpoint(self._path(name), packed)

    def end_epoch(self, progress: Progress, *, keep: int) -> None:
        """The checkpoints that stand from the end of an epoch on; ``keep`` epochs' own."""
        if progress.best_epoch == progress.epoch:
            self.save("best", progress)
        if keep:
            self.save(f"epoch_{progress.epoch:03d}", progress)
        self.save("latest", progress)  # last: going on from here, the others of this epoch stand
        drop_old_epochs(self.folder, keep=keep)

    def go_back(self) -> tuple[Progress | None, list[str]]:
        """Takes the newest whole checkpoint; its progress, and which files were set aside."""
        files = [path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}")]
        progress = None
        with room_for_file(max(files, default=0)):
            found, set_aside = newest_checkpoint(self.folder)
            if found is not None:
                progress = unpack_state(found, self.network, self.optimizer, self.averages)
            del found  # with it goes the mapping of its file
        if self.metrics_file.exists():
            with self.metrics_file.open("rb+") as told:
                told.truncate(progress.metrics_bytes if progress else 0)
        return progress, set_aside

    def take_best(self) -> None:
        """Puts the weights of the best epoch in place, and their averages."""
        path = self._path("best")
        with room_for_file(path.stat().st_size):
            load_weights(load_checkpoint(path).tensors, self.network, self.averages)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

"""Predictions of clips by the weights as they stand, in batches as large as memory allows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn

from reelfit.data.batches import Change, ClipSource
from reelfit.data.shards import ShardReader
from reelfit.errors import OutOfMemoryError
from reelfit.memory.oom import is_out_of_memory, said_of
from reelfit.tasks.task import Task
from reelfit.training.recovery import release_failed_memory


@dataclass(frozen=True)
class ClipSet:
    """Clips by their rows of the manifest (shard, offset, bytes), each with its target."""

    manifest: pl.DataFrame
    targets: Int64[np.ndarray, " clip"]
    frames: int | None = None
    """How many frames of each clip are seen, evenly spread; None is all."""
    groups: Int64[np.ndarray, " clip"] | None = None
    """The number of each clip's group, where groups are drawn equally often."""
    in_epoch: Callable[[int], Change] | None = None
    """What is done to the clips of an epoch when they are read."""

    def source(self, reader: ShardReader, *, epoch: int | None = None) -> ClipSource:
        """The clips as they are seen in an epoch, counted from 0; without one, as they are."""
        change = self.in_epoch(epoch) if self.in_epoch and epoch is not None else None
        return ClipSource(reader, self.manifest, self.frames, change)


@dataclass
class Predictor:
    """Runs ``network`` on clips; ``size`` clips at once, fewer from when memory runs out."""

    network: nn.Module
    task: Task
    reader: ShardReader
    device: torch.device
    size: int
    on_shortage: Callable[[int, str], None] = lambda _size, _said: None
    on_progress: Callable[[int, int], None] = lambda _done, _total: None
    """Takes how many clips are done, of how many."""

    def __call__(
        self, clips: ClipSet
    ) -> tuple[Float64[np.ndarray, "clip output"], Float64[np.ndarray, " clip"]]:
        """Probabilities and losses of ``clips``.

        Raises:
            OutOfMemoryError: one clip does not fit.
        """
        found = self._in_batches(clips, self._judge)
        probabilities, losses = zip(*found, strict=True)
        return np.concatenate(probabilities), np.concatenate(losses)

    def outputs(self, clips: ClipSet) -> Float64[np.ndarray, "clip output"]:
        """What the network gives for each of ``clips``, as it is.

        Raises:
            OutOfMemoryError: one clip does not fit.
        """
        return np.concatenate(
            self._in_batches(clips, lambda outputs, _targets: outputs.double().cpu().numpy())
        )

    def _judge(self, outputs: Tensor, targets: Int64[np.ndarray, " batch"]) -> tuple[Any, Any]:
        losses = self.task.losses(outputs, torch.from_numpy(targets).to(self.device))
        return self.task.probabilities(outputs), losses.double().cpu().numpy()

    def _in_batches(self, clips: ClipSet, use: Callable[[Tensor, Any], Any]) -> list[Any]:
        """What ``use`` makes of the outputs and targets of each batch."""
        self.network.eval()
        found: list[Any] = []
        source, done = clips.source(self.reader), 0
        while done < len(clips.targets):
            targets = clips.targets[done : done + self.size]
            made, said = self._try(source, done, targets, use)
            if made is None:  # outside the except block, which would hold what failed
                self._take_less(len(targets), said)
                continue
            found.append(made)
            done += len(targets)
            self.on_progress(done, len(clips.targets))
        return found

    def _try(
        self,
        source: ClipSource,
        begin: int,
        targets: Int64[np.ndarray, " batch"],
        use: Callable[[Tensor, Any], Any],
    ) -> tuple[Any, str]:
        try:
            with torch.inference_mode():
                batch = source.read(np.arange(begin, begin + len(targets)))
                outputs = self.network(to_input(batch.clips, self.device)).float()
                return use(outputs, targets), ""
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


def to_input(
    clips: UInt8[Tensor, "batch time 3 height width"], device: torch.device
) -> Float[Tensor, "batch time 3 height width"]:
    """Pixels from -1 to 1 on ``device``, moved there as the bytes they are."""
    return clips.to(device, non_blocking=True).float().div_(127.5).sub_(1.0)

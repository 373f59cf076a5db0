"""What a network says of clips, each by itself."""

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
from reelfit.tasks.task import Task
from reelfit.training.portions import Portions


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

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.targets)

    def source(self, reader: ShardReader, *, epoch: int | None = None) -> ClipSource:
        """The clips as they are seen in an epoch, counted from 0; without one, as they are."""
        change = self.in_epoch(epoch) if self.in_epoch and epoch is not None else None
        return ClipSource(reader, self.manifest, self.frames, change)


@dataclass(frozen=True)
class Predictor:
    """Runs ``network`` on clips, as many at once as ``portions`` says."""

    network: nn.Module
    task: Task
    reader: ShardReader
    device: torch.device
    portions: Portions

    def __call__(
        self, clips: ClipSet
    ) -> tuple[Float64[np.ndarray, "clip output"], Float64[np.ndarray, " clip"]]:
        """Probabilities and losses of ``clips``.

        Raises:
            OutOfMemoryError: one clip does not fit.
        """
        found = self._in_parts(clips, self._judge)
        probabilities, losses = zip(*found, strict=True)
        return np.concatenate(probabilities), np.concatenate(losses)

    def outputs(self, clips: ClipSet) -> Float64[np.ndarray, "clip output"]:
        """What the network gives for each of ``clips``, as it is.

        Raises:
            OutOfMemoryError: one clip does not fit.
        """
        return np.concatenate(
            self._in_parts(clips, lambda outputs, _targets: outputs.double().cpu().numpy())
        )

    def _judge(self, outputs: Tensor, targets: Int64[np.ndarray, " batch"]) -> tuple[Any, Any]:
        losses = self.task.losses(outputs, torch.from_numpy(targets).to(self.device))
        return self.task.probabilities(outputs), losses.double().cpu().numpy()

    def _in_parts(self, clips: ClipSet, use: Callable[[Tensor, Any], Any]) -> list[Any]:
        """What ``use`` makes of the outputs and targets of each part."""
        self.network.eval()
        source = clips.source(self.reader)

        def outputs_of(begin: int, end: int) -> Any:
            batch = source.read(np.arange(begin, end))
            outputs = self.network(to_input(batch.clips, self.device)).float()
            return use(outputs, clips.targets[begin:end])

        return self.portions(len(clips), outputs_of)


def to_input(
    clips: UInt8[Tensor, "batch time 3 height width"], device: torch.device
) -> Float[Tensor, "batch time 3 height width"]:
    """Pixels from -1 to 1 on ``device``, moved there as the bytes they are."""
    return clips.to(device, non_blocking=True).float().div_(127.5).sub_(1.0)

"""Learning from clips that each have a target, sample by sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from typing_extensions import override

from reelfit.data.batches import Batch, batches
from reelfit.data.shards import ShardReader
from reelfit.tasks.task import Task
from reelfit.training.mixing import Mixing, as_input, mixed_batch, take_mixed
from reelfit.training.objective import Drawn, Epoch, Objective
from reelfit.training.order import Balance, order_of
from reelfit.training.portions import Portions
from reelfit.training.predicting import ClipSet, Predictor
from reelfit.training.splitting import take_samples

Predicted = tuple[Float64[np.ndarray, "clip output"], Float64[np.ndarray, " clip"]]
"""Probabilities and losses."""


@final
@dataclass(frozen=True)
class Labelled(Objective):
    """The losses of a task over a ``ClipSet``; clips of a step are mixed where the study asks."""

    task: Task
    balance: Balance = "none"
    mixing: Mixing | None = None

    @override
    def draw(
        self,
        samples: ClipSet,  # type: ignore[override]
        reader: ShardReader,
        epoch: Epoch,
    ) -> Iterator[tuple[Drawn, int]]:
        order = order_of(samples, balance=self.balance, seed=epoch.seed, epoch=epoch.number)
        for batch, position in batches(
            samples.source(reader, epoch=epoch.number),
            order,
            size=epoch.size,
            start=epoch.start,
            ahead_bytes=epoch.ahead_bytes,
            pinned=epoch.pinned,
        ):
            began = position - len(batch.rows)
            yield Drawn(self._samples_of(batch, samples, epoch.number, began), batch.rows), position
            del batch  # or two would be alive while the next one is read

    def _samples_of(self, batch: Batch, clips: ClipSet, epoch: int, began: int) -> tuple[Any, ...]:
        """Clips and targets of a step, and how they are mixed."""
        targets = torch.from_numpy(clips.targets[batch.rows])
        if self.mixing is None:
            return batch.clips, targets
        mixture = self.mixing.draw(
            epoch=epoch,
            position=began,
            samples=len(batch.rows),
            size=(batch.clips.shape[-2], batch.clips.shape[-1]),
        )
        return mixed_batch(batch.clips, self.task.soft_targets(targets), mixture)

    @override
    def losses(self, network: nn.Module, part: Any) -> Float[Tensor, " batch"]:
        inputs, targets = as_input(part, next(network.parameters()).device)
        return self.task.losses(network(inputs), targets)

    @override
    def predict(
        self,
        network: nn.Module,
        samples: ClipSet,  # type: ignore[override]
        reader: ShardReader,
        device: torch.device,
        portions: Portions,
    ) -> Predicted:
        return Predictor(network, self.task, reader, device, portions)(samples)

    @override
    def measure(
        self,
        predicted: Predicted,
        samples: ClipSet,  # type: ignore[override]
    ) -> dict[str, float | None]:
        probabilities, losses = predicted
        return {"loss": float(losses.mean()), **self.task.metrics(samples.targets, probabilities)}

    @override
    def made_up(self, samples: int, *, frames: int, size: tuple[int, int]) -> tuple[Any, ...]:
        clips = torch.randint(0, 256, (samples, frames, 3, *size), dtype=torch.uint8)
        targets = torch.zeros(samples, dtype=torch.int64)
        if self.mixing is None:
            return clips, targets
        mixture = self.mixing.draw(epoch=0, position=0, samples=samples, size=size)
        return mixed_batch(clips, self.task.soft_targets(targets), mixture)

    @override
    def split(self, samples: Any, begin: int, end: int) -> Any:
        take = take_samples if self.mixing is None else take_mixed
        return take(samples, begin, end)

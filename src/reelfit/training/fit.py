"""The training loop, from its first step or from any checkpoint to its end."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn

from reelfit.data.batches import Batch, balanced_order, batches, epoch_order
from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.errors import Interrupted
from reelfit.memory.release import release
from reelfit.tasks.task import Task
from reelfit.training.checkpoint import (
    SUFFIX,
    Checkpoint,
    drop_old_epochs,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from reelfit.training.optimizer import learning_rate_at, make_optimizer
from reelfit.training.settings import TrainSettings
from reelfit.training.step import ExactStep

Report = Callable[[str, str, float | None, int, int], None]
"""Takes phase, metric, value, epoch and step."""


@dataclass(frozen=True)
class ClipSet:
    """Clips by their rows of the manifest (shard, offset, bytes), each with its target."""

    manifest: pl.DataFrame
    targets: Int64[np.ndarray, " clip"]


@dataclass
class Progress:
    """Where training stands: with this, the weights and the optimizer, it goes on exactly."""

    epoch: int = 0
    position: int = 0
    step: int = 0
    epoch_loss_sum: float = 0.0
    epoch_samples: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    epochs_without_gain: int = 0
    stopped: bool = False
    micro_batch: int = 0
    metrics_bytes: int = 0


@dataclass
class Fit:
    """Trains ``network`` on ``train``; ``watched`` decides early stopping and is not trained on.

    ``validation`` is measured after each epoch for the learning curves and decides nothing.
    """

    network: nn.Module
    task: Task
    settings: TrainSettings
    reader: ShardReader
    train: ClipSet
    validation: ClipSet
    watched: ClipSet | None
    checkpoints: Path
    seed: int
    device: torch.device
    report: Report
    metrics_file: Path
    on_event: Callable[..., None] = lambda *_, **__: None
    on_progress: Callable[[int, int], None] = lambda _done, _total: None
    should_stop: Callable[[], bool] = lambda: False
    progress: Progress = field(default_factory=Progress)

    def run(self) -> Progress:
        """Trains to the end, from the newest whole checkpoint if there is one.

        Raises:
            Interrupted: ``should_stop`` said so; a checkpoint of this very step is written.
            OutOfMemoryError: one sample does not fit.
        """
        settings = self.settings
        self.network.to(self.device)
        self.optimizer = make_optimizer(
            self.network, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._go_back_to_checkpoint()
        step = self._make_step()
        steps_per_epoch = -(-len(self.train.targets) // settings.effective_batch)
        total_steps = steps_per_epoch * settings.epochs
        saved = time.monotonic()
        state = self.progress
        while state.epoch < settings.epochs and not state.stopped:
            order = self._order(state.epoch)
            for batch, position in batches(
                self.reader,
                self.train.manifest,
                order,
                size=settings.effective_batch,
                start=state.position,
            ):
                self._one_step(step, batch, total_steps)
                state.position = position
                self.on_progress(state.step, total_steps)
                release(settings.release, steps=state.step, steps_per_epoch=steps_per_epoch)
                if self.should_stop():
                    self._save("latest")
                    raise Interrupted
                if time.monotonic() - saved > settings.checkpoint_minutes * 60:
                    self._save("latest")
                    saved = time.monotonic()
            self._end_epoch()
            saved = time.monotonic()
        return state

    def _one_step(self, step: ExactStep, batch: Batch, total_steps: int) -> None:
        state, settings = self.progress, self.settings
        torch.manual_seed(seed_for(self.seed, "step", state.step))  # dropout: no state to save
        rate = learning_rate_at(
            state.step,
            highest=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            total_steps=total_steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        outcome = step((batch.clips, torch.from_numpy(self.train.targets[batch.rows])))
        state.step += 1
        state.micro_batch = outcome.micro_batch
        state.epoch_loss_sum += outcome.loss * outcome.samples
        state.epoch_samples += outcome.samples

    def _end_epoch(self) -> None:
        state = self.progress
        state.epoch += 1
        self._tell("train", {"loss": state.epoch_loss_sum / state.epoch_samples})
        self._tell("validation", self.judge(self.validation))
        if self.settings.early_stopping is not None and self.watched is not None:
            self._watch(self.judge(self.watched))
        else:
            state.best_epoch = state.epoch
        state.position, state.epoch_loss_sum, state.epoch_samples = 0, 0.0, 0
        if state.best_epoch == state.epoch:
            self._save("best")
        if self.settings.keep_epochs:
            self._save(f"epoch_{state.epoch:03d}")
        self._save("latest")  # last: going on from here, the others of this epoch stand
        drop_old_epochs(self.checkpoints, keep=self.settings.keep_epochs)

    def _watch(self, measured: dict[str, float | None]) -> None:
        stopping = self.settings.early_stopping
        assert stopping is not None
        self._tell("holdout", measured)
        state = self.progress
        value = measured[stopping.metric]
        lower_is_better = stopping.metric in ("loss", "equal_error_rate", "brier_score")
        gained = value is not None and (
            state.best_value is None
            or (value < state.best_value if lower_is_better else value > state.best_value)
        )
        if gained:
            state.best_value, state.best_epoch, state.epochs_without_gain = value, state.epoch, 0
        else:
            state.epochs_without_gain += 1
            state.stopped = state.epochs_without_gain >= stopping.patience

    def judge(self, clips: ClipSet) -> dict[str, float | None]:
        """The mean loss over ``clips`` and every metric of the task."""
        probabilities, losses = self.predict(clips)
        mean = float(losses.mean())
        return {"loss": mean, **self.task.metrics(clips.targets, probabilities)}

    def predict(
        self, clips: ClipSet
    ) -> tuple[Float64[np.ndarray, "clip output"], Float64[np.ndarray, " clip"]]:
        """Probabilities and losses of ``clips``, by the weights as they stand."""
        self.network.eval()
        probabilities, losses = [], []
        with torch.inference_mode():
            order = np.arange(len(clips.targets))
            size = max(self.progress.micro_batch, 1)
            for batch, _ in batches(self.reader, clips.manifest, order, size=size):
                outputs = self.network(to_input(batch.clips, self.device)).float()
                targets = torch.from_numpy(clips.targets[batch.rows]).to(self.device)
                probabilities.append(self.task.probabilities(outputs))
                losses.append(self.task.losses(outputs, targets).double().cpu().numpy())
        return np.concatenate(probabilities), np.concatenate(losses)

    def use_best(self) -> None:
        """Takes the weights of the best epoch, where early stopping chose one."""
        if self.settings.early_stopping is None or self.progress.best_epoch in (
            0,
            self.progress.epoch,
        ):
            return
        best = load_checkpoint(self.checkpoints / f"best{SUFFIX}")
        self._load_weights(best.tensors)

    def _order(self, epoch: int) -> Int64[np.ndarray, " clip"]:
        seed = seed_for(self.seed, "order of clips")
        if self.settings.balance == "sampling":
            return balanced_order(self.train.targets, seed=seed, epoch=epoch)
        return epoch_order(len(self.train.targets), seed=seed, epoch=epoch)

    def _make_step(self) -> ExactStep:
        settings = self.settings
        state = self.progress
        dtype = autocast_dtype(settings.precision, self.device)
        upper = settings.micro_batch or settings.effective_batch
        return ExactStep(
            self.network,
            self.optimizer,
            self._losses,
            micro_batch=min(state.micro_batch or upper, upper),
            clip_grad_norm=settings.clip_grad_norm,
            autocast_dtype=dtype,
            on_shortage=lambda micro_batch, said: self.on_event(
                "out_of_memory", step=state.step, micro_batch=micro_batch, message=said
            ),
        )

    def _losses(self, network: nn.Module, part: tuple[Tensor, ...]) -> Float[Tensor, " batch"]:
        clips, targets = part
        outputs = network(to_input(clips, self.device))
        return self.task.losses(outputs, targets.to(self.device))

    def _tell(self, phase: str, measured: dict[str, float | None]) -> None:
        for metric, value in measured.items():
            self.report(phase, metric, value, self.progress.epoch, self.progress.step)

    def _save(self, name: str) -> None:
        state = self.progress
        state.metrics_bytes = self.metrics_file.stat().st_size if self.metrics_file.exists() else 0
        tensors = {f"model.{key}": value for key, value in self.network.state_dict().items()}
        for number, parameter in enumerate(self.network.parameters()):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{number}.{key}"] = value
        path = self.checkpoints / f"{name}{SUFFIX}"
        save_checkpoint(path, Checkpoint(tensors, asdict(state)))

    def _go_back_to_checkpoint(self) -> None:
        found, set_aside = newest_checkpoint(self.checkpoints)
        for said in set_aside:
            self.on_event("checkpoint_set_aside", message=said)
        if found is not None:
            self._load_weights(found.tensors)
            for number, parameter in enumerate(self.network.parameters()):
                for key, value in self.optimizer.state[parameter].items():
                    value.copy_(found.tensors[f"optimizer.{number}.{key}"])
            self.progress = Progress(**found.facts)
            self.on_event("resumed", epoch=self.progress.epoch, step=self.progress.step)
        if self.metrics_file.exists():  # what was told after the checkpoint is told again
            with self.metrics_file.open("rb+") as told:
                told.truncate(self.progress.metrics_bytes)

    def _load_weights(self, tensors: dict[str, Tensor]) -> None:
        weights: dict[str, Any] = {
            name.removeprefix("model."): tensor
            for name, tensor in tensors.items()
            if name.startswith("model.")
        }
        self.network.load_state_dict(weights)


def to_input(
    clips: UInt8[Tensor, "batch time 3 height width"], device: torch.device
) -> Float[Tensor, "batch time 3 height width"]:
    """Pixels as numbers from -1 to 1 on the device; only a micro-batch is ever in this form."""
    return clips.to(device, non_blocking=True).float().div_(127.5).sub_(1.0)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type of the forward pass's arithmetic; None is float32 throughout."""
    if precision == "auto":
        gpu = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if gpu else None
    return {"float32": None, "bfloat16": torch.bfloat16}[precision]

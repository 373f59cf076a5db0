"""The training loop, from its first step or from any checkpoint to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from reelfit.data.batches import Batch, balanced_order, batches, epoch_order
from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.errors import Interrupted, OutOfMemoryError, Restart
from reelfit.memory.census import largest_kept
from reelfit.memory.limits import room_for_file
from reelfit.memory.release import release
from reelfit.memory.rungs import Rung, rung_below, smaller_rung, techniques_of
from reelfit.tasks.task import Task
from reelfit.training.checkpoint import (
    SUFFIX,
    drop_old_epochs,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from reelfit.training.journal import StepJournal
from reelfit.training.optimizer import learning_rate_at, make_optimizer
from reelfit.training.predicting import ClipSet, Predictor, to_input
from reelfit.training.settings import TrainSettings
from reelfit.training.state import Progress, load_weights, pack_state, unpack_state
from reelfit.training.step import ExactStep, Shortage, StepOutcome

Report = Callable[[str, str, float | None, int, int], None]
"""Takes phase, metric, value, epoch and step."""


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
    journal: StepJournal
    rung: Rung
    """How steps are cut, as planned; finer, where a checkpoint has learnt to."""
    ahead_bytes: int = 0
    """What clips may take that are read in advance."""
    shortages: int = 0
    """How often this unit has died for want of memory: each time it takes one rung less."""
    on_event: Callable[..., None] = lambda *_, **__: None
    on_progress: Callable[[int, int], None] = lambda _done, _total: None
    on_shortage: Callable[[Shortage, Any], None] = lambda _shortage, _batch: None
    nearly_full: Callable[[], bool] = lambda: False
    should_stop: Callable[[], bool] = lambda: False
    is_hopeless: Callable[[dict[str, float | None], int], bool] = lambda _measured, _epoch: False
    """Takes what an epoch gave on ``validation``, and its number: whether it was the last."""
    progress: Progress = field(default_factory=Progress)
    _was_short: bool = field(default=False, init=False)
    _in_hand: Any = field(default=None, init=False)
    """The clips of the step that is being done."""

    def run(self) -> Progress:
        """Trains to the end, from the newest whole checkpoint if there is one.

        Raises:
            Interrupted: ``should_stop`` said so; a checkpoint of this very step is written.
            Restart: memory ran out, and a checkpoint says how the steps fit from here on.
            OutOfMemoryError: one sample does not fit.
        """
        settings = self.settings
        self.network.to(self.device)
        self.optimizer = make_optimizer(
            self.network, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._take_less_after_deaths()
        self._go_back_to_checkpoint()
        step = self._make_step()
        steps_per_epoch = -(-len(self.train.targets) // settings.effective_batch)
        total_steps = steps_per_epoch * settings.epochs
        saved = time.monotonic()
        state = self.progress
        while state.epoch < settings.epochs and not state.stopped:
            order = self._order(state.epoch)
            for batch, position in batches(
                self.train.source(self.reader, epoch=state.epoch),
                order,
                size=settings.effective_batch,
                start=state.position,
                ahead_bytes=self.ahead_bytes,
                pinned=self.device.type == "cuda",
            ):
                self._one_step(step, batch, total_steps)
                del batch  # or two would be alive while the next one is read
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
        self._choose_rung(step)
        samples = (batch.clips, torch.from_numpy(self.train.targets[batch.rows]))
        self._in_hand = samples
        outcome = None if self.journal.was_skipped(state.step) else self._try_step(step, samples)
        if outcome is None:
            self._skip(step, batch)
        else:
            state.epoch_loss_sum += outcome.loss * outcome.samples
            state.epoch_samples += outcome.samples
        state.step += 1
        state.micro_batch, state.technique = step.rung.micro_batch, step.rung.technique
        self._in_hand = None  # or two would be alive while the next one is read

    def began_on_last_rung(self) -> bool:
        """Whether no cut is finer, and no larger one has left anything in this process."""
        techniques = techniques_of(self.network, self.device)
        return not self._was_short and rung_below(self.rung, techniques) is None

    def largest(self) -> tuple[str, int] | None:
        """Name and bytes of the largest tensor that is kept between passes, for the memory log."""
        if "optimizer" not in vars(self):  # it is asked from the first second on
            return None
        return largest_kept(self.network, self.optimizer, self._in_hand)

    def _choose_rung(self, step: ExactStep) -> None:
        """The cut of a step done before; else a smaller one where memory is nearly full."""
        known = self.journal.rung_of(self.progress.step)
        if known is not None:
            step.rung = self._usable(known)
            return
        step.rung = smaller_rung(step.rung, self.rung)  # it may be a replayed one
        if self.nearly_full() and step.need_less():
            self.on_event("memory_nearly_full", step=self.progress.step, **vars(step.rung))

    def _usable(self, rung: Rung) -> Rung:
        """The rung as this device can take it: a run may go on where there is no GPU."""
        techniques = techniques_of(self.network, self.device)
        if rung.technique in techniques:
            return rung
        return Rung(rung.micro_batch, techniques[-1])

    def _try_step(self, step: ExactStep, samples: tuple[Tensor, ...]) -> StepOutcome | None:
        try:
            return step(samples)
        except OutOfMemoryError as error:
            if self.settings.on_out_of_memory == "skip":
                return None
            if not self._was_short:
                raise
            message = str(error)
        # What the rungs before it left behind (code that oneDNN keeps for each shape of a batch)
        # is not there in a process that begins with the last one.
        self._save_rung(step.rung)
        raise Restart(message)

    def _skip(self, step: ExactStep, batch: Batch) -> None:
        """Gives the samples up, as the study asked: each is a row, none is in any mean."""
        at, given_up = self.progress.step, len(batch.rows)
        if self.journal.was_skipped(at):  # before a kill, and told
            return
        self.on_event("samples_skipped", step=at, samples=given_up, clips=batch.rows.tolist())
        self.journal.write(
            at, epoch=self.progress.epoch, samples=0, rung=step.rung, skipped=given_up
        )

    def _tell_shortage(self, shortage: Shortage, batch: Any) -> None:
        if shortage.then is not None:  # else the error or the row of what was skipped tells it
            self._was_short = True
            self.on_event(
                "out_of_memory",
                step=self.progress.step,
                phase=shortage.phase,
                seconds=round(shortage.seconds, 3),
                failed_micro_batch=shortage.rung.micro_batch,
                micro_batch=shortage.then.micro_batch,
                technique=shortage.then.technique,
                message=shortage.message,
            )
        self.on_shortage(shortage, batch)

    def _end_epoch(self) -> None:
        state = self.progress
        state.epoch += 1
        seen = state.epoch_samples  # none where all were given up
        self._tell("train", {"loss": state.epoch_loss_sum / seen if seen else None})
        validated = self.judge(self.validation)
        self._tell("validation", validated)
        if self.settings.early_stopping is not None and self.watched is not None:
            self._watch(self.judge(self.watched))
        else:
            state.best_epoch = state.epoch
        state.position, state.epoch_loss_sum, state.epoch_samples = 0, 0.0, 0
        if self.is_hopeless(validated, state.epoch):
            state.stopped = True
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
        """Probabilities and losses of ``clips``, by the weights as they stand.

        Raises:
            OutOfMemoryError: one clip does not fit.
        """
        state = self.progress
        predictor = Predictor(
            self.network,
            self.task,
            self.reader,
            self.device,
            size=state.predict_batch or max(state.micro_batch, 1),
            on_shortage=lambda size, said: self.on_event(
                "out_of_memory_predicting", clips=size, message=said
            ),
        )
        found = predictor(clips)
        state.predict_batch = predictor.size
        return found

    def use_best(self) -> None:
        """Takes the weights of the best epoch, where early stopping chose one."""
        if self.settings.early_stopping is None or self.progress.best_epoch in (
            0,
            self.progress.epoch,
        ):
            return
        path = self.checkpoints / f"best{SUFFIX}"
        with room_for_file(path.stat().st_size):
            load_weights(load_checkpoint(path).tensors, self.network)

    def _order(self, epoch: int) -> Int64[np.ndarray, " clip"]:
        seed = seed_for(self.seed, "order of clips")
        if self.settings.balance in ("sampling", "group_sampling"):
            groups = self.train.groups if self.settings.balance == "group_sampling" else None
            return balanced_order(self.train.targets, seed=seed, epoch=epoch, groups=groups)
        return epoch_order(len(self.train.targets), seed=seed, epoch=epoch)

    def _take_less_after_deaths(self) -> None:
        techniques = techniques_of(self.network, self.device)
        for _ in range(self.shortages):
            self.rung = rung_below(self.rung, techniques) or self.rung
        if self.shortages > 1:  # steps done before may be what kills it
            self.journal.forget()

    def _make_step(self) -> ExactStep:
        settings, rung = self.settings, self.rung
        return ExactStep(
            self.network,
            self.optimizer,
            self._losses,
            settings.effective_batch,
            micro_batch=rung.micro_batch,
            technique=rung.technique,
            clip_grad_norm=settings.clip_grad_norm,
            autocast_dtype=autocast_dtype(settings.precision, self.device),
            on_shortage=self._tell_shortage,
            on_split=self._write_split,
            look=True,
            recover=settings.on_out_of_memory == "retry",
        )

    def _write_split(self, rung: Rung, samples: int) -> None:
        """Journals the cut; where it was found by a shortage, a fresh process is to make it.

        Libraries below torch that find too little memory take other algorithms without a word, and
        keep them: gradients of a recovered step were off by 1e-8 here. A process that begins with
        the cut that fits has the bits of one that was planned so.
        """
        state = self.progress
        self.journal.write(state.step, epoch=state.epoch, samples=samples, rung=rung)
        if self._was_short:
            self._save_rung(rung)
            raise Restart(
                f"memory ran out at step {state.step}, which fits with {rung.micro_batch} samples "
                f"per pass ({rung.technique})"
            )

    def _save_rung(self, rung: Rung) -> None:
        """A checkpoint from which a fresh process begins this step, with the weights before it."""
        self.progress.micro_batch, self.progress.technique = rung.micro_batch, rung.technique
        self._save("latest")

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
        path = self.checkpoints / f"{name}{SUFFIX}"
        save_checkpoint(path, pack_state(self.network, self.optimizer, state))

    def _go_back_to_checkpoint(self) -> None:
        files = [path.stat().st_size for path in self.checkpoints.glob(f"*{SUFFIX}")]
        with room_for_file(max(files, default=0)):
            found, set_aside = newest_checkpoint(self.checkpoints)
            resumed = found is not None
            if found is not None:
                self.progress = unpack_state(found, self.network, self.optimizer)
            del found  # with it goes the mapping of its file
        for said in set_aside:
            self.on_event("checkpoint_set_aside", message=said)
        if resumed:
            learnt = Rung(self.progress.micro_batch, self.progress.technique)
            self.rung = smaller_rung(self.rung, self._usable(learnt))
            self.on_event("resumed", epoch=self.progress.epoch, step=self.progress.step)
        if self.metrics_file.exists():  # what was told after the checkpoint is told again
            with self.metrics_file.open("rb+") as told:
                told.truncate(self.progress.metrics_bytes)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type of the forward pass's arithmetic; None is float32 throughout."""
    if precision == "auto":
        gpu = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if gpu else None
    return {"float32": None, "bfloat16": torch.bfloat16}[precision]

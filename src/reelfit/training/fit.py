"""The training loop, from its first step or from any checkpoint to its end."""

import time
from collections.abc import Callable, Sized
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.errors import Interrupted, OutOfMemoryError, Restart
from reelfit.memory.census import largest_kept
from reelfit.memory.release import release
from reelfit.memory.rungs import Rung, rung_below, smaller_rung, techniques_of
from reelfit.training.archive import Archive
from reelfit.training.averaging import Averages
from reelfit.training.journal import StepJournal
from reelfit.training.objective import Drawn, Epoch, Objective
from reelfit.training.optimizer import Descent, make_optimizer, set_rate
from reelfit.training.portions import Portions
from reelfit.training.precision import autocast_dtype
from reelfit.training.schedule import Schedule
from reelfit.training.settings import TrainSettings
from reelfit.training.state import Progress
from reelfit.training.step import ExactStep, Shortage, StepOutcome
from reelfit.training.stopping import watch

Report = Callable[[str, str, float | None, int, int], None]
"""Takes phase, metric, value, epoch and step."""


@dataclass
class Fit:
    """Trains ``network`` on ``train``; ``watched`` decides early stopping and is not trained on.

    ``validation`` is measured after each epoch for the learning curves and decides nothing.
    """

    network: nn.Module
    objective: Objective
    settings: TrainSettings
    reader: ShardReader
    train: Sized
    validation: Sized
    watched: Sized | None
    checkpoints: Path
    seed: int
    device: torch.device
    report: Report
    metrics_file: Path
    journal: StepJournal
    rung: Rung
    """How steps are cut, as planned; finer, where a checkpoint has learnt to."""
    rate_factors: dict[str, float] = field(default_factory=dict)
    """Of parameters that learn at another rate than the study's, by name."""
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
    _averages: Averages | None = field(default=None, init=False)

    def run(self) -> Progress:
        """Trains to the end, from the newest whole checkpoint if there is one.

        Raises:
            Interrupted: ``should_stop`` said so; a checkpoint of this very step is written.
            Restart: memory ran out, and a checkpoint says how the steps fit from here on.
            OutOfMemoryError: one sample does not fit.
        """
        settings = self.settings
        self._make_ready()
        self._take_less_after_deaths()
        self._go_back_to_checkpoint()
        step = self._make_step()
        steps_per_epoch = -(-len(self.train) // settings.effective_batch)
        schedule = Schedule.asked_by(settings, total_steps=steps_per_epoch * settings.epochs)
        saved = time.monotonic()
        state = self.progress
        while state.epoch < settings.epochs and not state.stopped:
            for drawn, position in self.objective.draw(self.train, self.reader, self._epoch()):
                self._one_step(step, drawn, schedule)
                del drawn  # or two would be alive while the next one is read
                state.position = position
                self.on_progress(state.step, schedule.total_steps)
                release(settings.release, steps=state.step, steps_per_epoch=steps_per_epoch)
                if self.should_stop():
                    self.archive.save("latest", state)
                    raise Interrupted
                if time.monotonic() - saved > settings.checkpoint_minutes * 60:
                    self.archive.save("latest", state)
                    saved = time.monotonic()
            self._end_epoch()
            saved = time.monotonic()
        return state

    def _epoch(self) -> Epoch:
        """The rest of the epoch that training stands in."""
        return Epoch(
            number=self.progress.epoch,
            size=self.settings.effective_batch,
            seed=self.seed,
            start=self.progress.position,
            ahead_bytes=self.ahead_bytes,
            pinned=self.device.type == "cuda",
        )

    def _make_ready(self) -> None:
        """Network, optimizer and averages with all that they will hold, and their archive."""
        settings = self.settings
        self.network.to(self.device)
        self.optimizer = make_optimizer(
            self.network,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            descent=Descent.asked_by(settings),
            factors=self.rate_factors,
        )
        if settings.ema is not None:
            self._averages = Averages.begin(self.network, decay=settings.ema)
        self.archive = Archive(
            self.checkpoints, self.metrics_file, self.network, self.optimizer, self._averages
        )

    def _one_step(self, step: ExactStep, drawn: Drawn, schedule: Schedule) -> None:
        state = self.progress
        torch.manual_seed(seed_for(self.seed, "step", state.step))  # dropout: no state to save
        set_rate(self.optimizer, schedule.rate_at(state.step))
        self.network.train()
        self._choose_rung(step)
        self._in_hand = drawn.samples
        skipped = self.journal.was_skipped(state.step)
        outcome = None if skipped else self._try_step(step, drawn.samples)
        if outcome is None:
            self._skip(step, drawn)
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

    def _try_step(self, step: ExactStep, samples: Any) -> StepOutcome | None:
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

    def _skip(self, step: ExactStep, drawn: Drawn) -> None:
        """Gives the samples up, as the study asked: each is a row, none is in any mean."""
        at, given_up = self.progress.step, len(drawn.rows)
        if self.journal.was_skipped(at):  # before a kill, and told
            return
        self.on_event("samples_skipped", step=at, samples=given_up, clips=drawn.rows.tolist())
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
            measured = self.judge(self.watched)
            self._tell("holdout", measured)
            watch(
                state, measured[self.settings.early_stopping.metric], self.settings.early_stopping
            )
        else:
            state.best_epoch = state.epoch
        state.position, state.epoch_loss_sum, state.epoch_samples = 0, 0.0, 0
        if self.is_hopeless(validated, state.epoch):
            state.stopped = True
        self.archive.end_epoch(state, keep=self.settings.keep_epochs)

    def judge(self, samples: Sized) -> dict[str, float | None]:
        """The mean loss over ``samples`` and every metric of the objective."""
        return self.objective.measure(self.predict(samples), samples)

    def predict(self, samples: Sized) -> Any:
        """What the objective predicts of ``samples``, by the weights as they stand or averages.

        Raises:
            OutOfMemoryError: one sample does not fit.
        """
        return self.ask(
            lambda reader, portions: self.objective.predict(
                self.network, samples, reader, self.device, portions
            )
        )

    def ask(self, what: Callable[[ShardReader, Portions], Any]) -> Any:
        """What the network is asked with the weights that predict, by as much at once as fits.

        Raises:
            OutOfMemoryError: one sample does not fit.
        """
        state = self.progress
        portions = Portions(
            size=state.predict_batch or max(state.micro_batch, 1),
            on_shortage=lambda size, said: self.on_event(
                "out_of_memory_predicting", clips=size, message=said
            ),
        )
        with self._weights_that_predict():
            found = what(self.reader, portions)
        state.predict_batch = portions.size
        return found

    def use_best(self) -> None:
        """Takes the weights of the best epoch, where early stopping chose one."""
        if self.settings.early_stopping is None or self.progress.best_epoch in (
            0,
            self.progress.epoch,
        ):
            return
        self.archive.take_best()

    def _weights_that_predict(self) -> AbstractContextManager[None]:
        return nullcontext() if self._averages is None else self._averages.in_place(self.network)

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
            None if self.objective.across else self.objective.losses,
            settings.effective_batch,
            micro_batch=rung.micro_batch,
            technique=rung.technique,
            clip_grad_norm=settings.clip_grad_norm,
            autocast_dtype=autocast_dtype(settings.precision, self.device),
            on_shortage=self._tell_shortage,
            on_split=self._write_split,
            on_update=self._update_averages,
            across=self.objective.across,
            split=self.objective.split,
            count=self.objective.count,
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
        self.archive.save("latest", self.progress)

    def _update_averages(self) -> None:
        if self._averages is not None:
            self._averages.update(self.network, step=self.progress.step)

    def _tell(self, phase: str, measured: dict[str, float | None]) -> None:
        for metric, value in measured.items():
            self.report(phase, metric, value, self.progress.epoch, self.progress.step)

    def _go_back_to_checkpoint(self) -> None:
        found, set_aside = self.archive.go_back()
        for said in set_aside:
            self.on_event("checkpoint_set_aside", message=said)
        if found is not None:
            self.progress = found
            learnt = Rung(self.progress.micro_batch, self.progress.technique)
            self.rung = smaller_rung(self.rung, self._usable(learnt))
            self.on_event("resumed", epoch=self.progress.epoch, step=self.progress.step)

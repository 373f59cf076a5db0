"""One optimizer step over an effective batch, exact whatever micro-batch memory allows."""

import math
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from reelfit.errors import DivergenceError, OutOfMemoryError, UpdateError
from reelfit.memory.allocator import map_large_blocks
from reelfit.memory.budget import parse_size
from reelfit.memory.census import largest_tensors
from reelfit.memory.limits import limit_gpu_memory, limit_host_memory
from reelfit.memory.meter import Meter
from reelfit.memory.oom import is_out_of_memory, said_of
from reelfit.memory.rungs import Rung, applied, rung_below, techniques_of
from reelfit.training.across import Across, CachedGradient
from reelfit.training.coupled import accumulate_exactly, coupled_layers, frozen
from reelfit.training.first_rung import PROBED, first_rung
from reelfit.training.optimizer import allocate_state
from reelfit.training.parts import Cut, Losses, OwnLosses, PartLosses
from reelfit.training.recovery import Start, clean_shortage, release_failed_memory
from reelfit.training.splitting import count_samples, take_samples

Coupling = Literal["exact", "freeze", "accept"]
COSTLY_LAYERS = 8
"""Batch norm layers from which on an exact split, a pass for each, has to be asked for."""


@dataclass(frozen=True)
class Shortage:
    """One time that memory ran out: in which phase, under which rung, what was said.

    ``then`` is the rung that the step is run again on; None where the step is given up.
    ``largest`` are the largest tensors that were alive, as values; ``seconds`` the time that the
    failed attempt cost.
    """

    phase: str
    rung: Rung
    samples: int
    message: str
    largest: list[dict[str, Any]]
    seconds: float
    then: Rung | None = None


@dataclass(frozen=True)
class StepOutcome:
    """What a step did; ``loss`` is the mean over its samples."""

    loss: float
    samples: int
    micro_batch: int
    technique: str
    retries: int
    grad_norm: float
    peak_bytes: int
    """The most that the process (on a GPU: torch's allocator) held during the step."""


@dataclass
class ExactStep:
    """Zeroes gradients, accumulates them by micro-batches, clips them, steps the optimizer.

    ``losses`` gives one loss per sample; their sum is divided by the samples of this very batch, so
    that a last, smaller batch counts as it should. When memory runs out before the optimizer steps,
    the step begins again from its start on the next rung, which is kept from then on: half the
    micro-batch, then activation checkpointing, then (on a GPU) activations in host memory. No
    sample is passed over. Gradients stay in ``.grad`` until the next step.

    ``across``, in place of ``losses``, is a loss that couples the samples: it is computed of the
    embeddings of all of them, and each part then runs again with its share of the gradient.

    A batch is a tensor, or tuples, lists and dicts of tensors whose first axis is the samples.
    ``memory`` (``"8GiB"``) limits this process from now on: torch's allocator on a GPU, the data
    segment on a CPU under Linux; None sets no limit, and recovery works all the same.
    With ``memory`` and without ``micro_batch`` the first step begins with passes over a few
    samples, of which nothing stays, and takes a micro-batch that fits by them, with room to spare.
    ``coupling`` says what becomes of batch norm in a batch that is cut: ``exact`` gives the
    gradient of the whole batch (a forward and backward pass more per layer), ``freeze`` uses the
    running statistics, ``accept`` normalises each micro-batch by itself; None is exact for up to 8
    layers and refuses beyond.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: Losses | None
    effective_batch: int
    memory: str | int | None = None
    _: KW_ONLY
    micro_batch: int | None = None
    technique: str = "plain"
    clip_grad_norm: float | None = None
    autocast_dtype: torch.dtype | None = None
    scaler: "torch.amp.GradScaler | None" = None
    scheduler: Any = None
    coupling: Coupling | None = None
    across: Across | None = None
    recover: bool = True
    """False raises OutOfMemoryError the first time, for those who would rather skip a batch."""
    split: Callable[[Any, int, int], Any] = take_samples
    count: Callable[[Any], int] = count_samples
    look: bool = False
    """Whether a shortage is to tell the largest tensors alive: some 100 ms each time."""
    on_shortage: Callable[[Shortage, Any], None] = lambda _shortage, _batch: None
    """Told each shortage and its batch, when what the failed attempt held is free again."""
    on_split: Callable[[Rung, int], None] = lambda *_: None
    """Told the rung and the samples of each step before the weights change."""
    on_update: Callable[[], None] = lambda: None
    """Called when the weights have changed; memory that runs out in it is an UpdateError too."""

    def __post_init__(self) -> None:
        if (self.losses is None) == (self.across is None):
            raise ValueError("give losses, or across in their place")
        self.device = next(self.model.parameters()).device
        self.techniques = techniques_of(self.model, self.device)
        self.meter = Meter(self.device)
        self.rung = Rung(self.micro_batch or self.effective_batch, self.technique)
        self._shortage: Shortage | None = None
        allocate_state(self.optimizer)
        self._to_plan: int | None = None
        if self.memory is not None:
            budget_bytes = self.memory if isinstance(self.memory, int) else parse_size(self.memory)
            if self.device.type == "cuda":
                limit_gpu_memory(budget_bytes, device=self.device)
            else:
                map_large_blocks()
                limit_host_memory(budget_bytes)
            if self.micro_batch is None:
                self._to_plan = budget_bytes

    def __call__(self, batch: Any) -> StepOutcome:
        """One step over ``batch``.

        Raises:
            OutOfMemoryError: one sample by itself does not fit; the model is as it was.
            DivergenceError: the loss or its gradient is not finite; the parameters are as they
                were.
            UpdateError: memory ran out inside the optimizer's step, which is never repeated: load
                the last checkpoint.
            ValueError: the batch has no samples, more than ``effective_batch``, or layers that
                couple them in a way that cannot be cut.
        """
        samples = self.count(batch)
        if samples > self.effective_batch:
            raise ValueError(
                f"a batch of {samples} samples, more than effective_batch={self.effective_batch}"
            )
        with clean_shortage("before the step began"):
            start = Start.of(self.model, self.scaler)
            if self._to_plan is not None and samples > max(PROBED):
                if self._can_be_probed():
                    self._plan(start, batch, self._to_plan)
                self._to_plan = None
            self.meter.restart_peak()
        retries = 0
        while (done := self._attempt(batch, samples)) is None:
            # Outside the except block: inside, the traceback would hold the failed graph.
            retries += 1
            self._go_back(start, batch, samples)
        loss, grad_norm = done
        self.on_split(self.rung, samples)
        self._update()
        return StepOutcome(
            loss=loss,
            samples=samples,
            micro_batch=min(self.rung.micro_batch, samples),
            technique=self.rung.technique,
            retries=retries,
            grad_norm=grad_norm,
            peak_bytes=self.meter.peak_bytes(),
        )

    def _plan(self, start: Start, batch: Any, budget_bytes: int) -> None:
        technique = self.rung.technique

        def fits(rung: Rung) -> bool:
            self.rung = rung
            return self._attempt(batch, rung.micro_batch) is not None

        def forget() -> None:
            failed, self._shortage = self._shortage is not None, None
            self.optimizer.zero_grad(set_to_none=True)
            start.restore(self.model, self.scaler)
            if failed:
                release_failed_memory()

        self.rung = first_rung(
            fits,
            forget,
            self.meter,
            effective_batch=self.effective_batch,
            technique=technique,
            gradients_bytes=sum(p.nbytes for p in self.model.parameters() if p.requires_grad),
            budget_bytes=budget_bytes,
        )

    def _can_be_probed(self) -> bool:
        """Not where a batch that is cut costs passes more, or a peak cannot be measured."""
        coupled = self.coupling in (None, "exact") and bool(coupled_layers(self.model))
        return not coupled and self.meter.restarts

    def need_less(self) -> bool:
        """Takes the next rung, between steps, because memory is nearly full; False at the end."""
        below = rung_below(self.rung, self.techniques)
        if below is None:
            return False
        self.rung = below
        return True

    def _attempt(self, batch: Any, samples: int) -> tuple[float, float] | None:
        """The mean loss and the gradient's norm; None when memory ran out on the way."""
        phase, began = "forward and backward", time.monotonic()
        try:
            self.optimizer.zero_grad(set_to_none=True)
            with applied(self.model, self.rung.technique):
                loss = self._accumulate(batch, samples)
            phase = "clipping"
            return loss, self._clip(loss)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The graph is whole only here: outside, nothing of what was large is left to be seen.
            largest = largest_tensors(self.model, batch=batch) if self.look else []
            seconds = time.monotonic() - began
            self._shortage = Shortage(phase, self.rung, samples, said_of(error), largest, seconds)
            return None

    def _accumulate(self, batch: Any, samples: int) -> float:
        size = min(self.rung.micro_batch, samples)
        bounds = [(b, min(b + size, samples)) for b in range(0, samples, size)]
        coupled = coupled_layers(self.model) if len(bounds) > 1 else []
        exact = bool(coupled) and self.coupling in (None, "exact")
        if self.coupling is None and len(coupled) > COSTLY_LAYERS:
            raise ValueError(
                f"a batch cut into {len(bounds)} couples its samples in {len(coupled)} batch norm "
                f'layers: coupling="exact" keeps the gradient of the whole and takes '
                f'{len(coupled) + 1} passes, "freeze" uses their running statistics, "accept" '
                "normalises each part by itself; group norm in their place needs none of these"
            )
        parts = self._parts(batch, bounds, several_passes=exact or self.across is not None)
        with frozen(coupled if self.coupling == "freeze" else []):
            loss = accumulate_exactly(coupled, parts) if exact else parts.accumulate()
        return loss if self.scaler is None else loss / self.scaler.get_scale()

    def _parts(
        self, batch: Any, bounds: list[tuple[int, int]], *, several_passes: bool
    ) -> PartLosses:
        cut = Cut(
            lambda begin, end: self.split(batch, begin, end),
            bounds,
            lambda: torch.autocast(
                self.device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None
            ),
            lambda loss: loss if self.scaler is None else self.scaler.scale(loss),
            seed=int(torch.randint(2**31, ())) if several_passes else None,
        )
        if self.across is not None:
            return CachedGradient(self.model, self.across, cut)
        assert self.losses is not None
        return OwnLosses(self.model, self.losses, cut)

    def _clip(self, loss: float) -> float:
        """The gradient's norm, with the gradient clipped."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        bound = float("inf") if self.clip_grad_norm is None else self.clip_grad_norm
        norm = float(nn.utils.clip_grad_norm_(parameters, bound))
        # A scaler passes over a step whose scale was too large, and takes a smaller one.
        if self.scaler is None and not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergenceError(
                f"training diverged: the loss is {loss:.4g}, its gradient's norm {norm:.4g}; make "
                "train.learning_rate smaller, train.warmup_steps larger, or set "
                "train.clip_grad_norm"
            )
        return norm

    def _go_back(self, start: Start, batch: Any, samples: int) -> None:
        """Puts back all that the failed attempt changed, and takes the next rung."""
        shortage = self._shortage
        assert shortage is not None
        self.optimizer.zero_grad(set_to_none=True)
        with clean_shortage("while a failed step was undone"):
            start.restore(self.model, self.scaler)
            release_failed_memory()
            self.meter.restart_peak()  # the failed attempt filled the budget; the step may not
        rung = Rung(min(self.rung.micro_batch, samples), self.rung.technique)
        below = rung_below(rung, self.techniques) if self.recover else None
        with clean_shortage("while a shortage was written down"):
            self.on_shortage(replace(shortage, then=below), batch)
        if below is not None:
            self.rung = below
        elif self.recover:
            raise OutOfMemoryError(
                f"one sample does not fit into the memory given: {shortage.message}. "
                "Give more memory, or make clips.frames or clips.size smaller"
            )
        else:
            raise OutOfMemoryError(f"memory ran out: {shortage.message}")

    def _update(self) -> None:
        try:
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()
            self.on_update()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            message = said_of(error)
        else:
            if self.scheduler is not None:
                self.scheduler.step()
            return
        raise UpdateError(
            f"memory ran out while the optimizer changed the weights: {message}. Some of them have "
            "changed and some have not: load the last checkpoint, and give more memory"
        )

"""One optimizer step over an effective batch, exact whatever micro-batch memory allows."""

import ctypes
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reelfit.errors import DivergenceError, OutOfMemoryError
from reelfit.memory.oom import is_out_of_memory

Losses = Callable[[nn.Module, tuple[Tensor, ...]], Float[Tensor, " batch"]]


@dataclass(frozen=True)
class StepOutcome:
    """What a step did; ``loss`` is the mean over its samples."""

    loss: float
    samples: int
    micro_batch: int
    retries: int
    grad_norm: float


@dataclass
class ExactStep:
    """Zeroes gradients, accumulates them by micro-batches, clips them, steps the optimizer.

    ``losses`` gives one loss per sample; their sum is divided by the samples of this very batch, so
    that a last, smaller batch counts as it should. When memory runs out, the step begins again
    from its start at half the micro-batch, which is kept from then on: no sample is passed over.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: Losses
    micro_batch: int
    clip_grad_norm: float | None = None
    autocast_dtype: torch.dtype | None = None
    on_shortage: Callable[[int, str], None] = lambda _micro_batch, _said: None
    _shortage: str = field(default="", init=False)

    def __call__(self, batch: tuple[Tensor, ...]) -> StepOutcome:
        """One step over ``batch``, whose tensors have the samples on their first axis.

        Raises:
            OutOfMemoryError: one sample by itself does not fit; the model is as it was.
            DivergenceError: the loss or its gradient is not finite; the parameters are as they
                were.
        """
        start = _Start.of(self.model)
        retries = 0
        while (loss := self._accumulate(batch)) is None:
            # Outside the except block: inside, the traceback would hold the failed graph.
            self.optimizer.zero_grad(set_to_none=True)
            start.restore(self.model)
            release_failed_memory()
            if self.micro_batch == 1:
                raise OutOfMemoryError(
                    f"one sample does not fit into the memory given: {self._shortage}. "
                    "Give more memory, or make clips.frames or clips.size smaller"
                )
            self.micro_batch = -(-min(self.micro_batch, len(batch[0])) // 2)
            retries += 1
            self.on_shortage(self.micro_batch, self._shortage)
        grad_norm = self._step(loss)
        return StepOutcome(loss, len(batch[0]), self.micro_batch, retries, grad_norm)

    def _accumulate(self, batch: tuple[Tensor, ...]) -> float | None:
        """The mean loss with its gradient accumulated; None when memory ran out on the way."""
        samples = len(batch[0])
        total = 0.0
        self.optimizer.zero_grad(set_to_none=True)
        try:
            for begin in range(0, samples, self.micro_batch):
                part = tuple(tensor[begin : begin + self.micro_batch] for tensor in batch)
                device = next(self.model.parameters()).device.type
                with torch.autocast(
                    device, self.autocast_dtype, enabled=self.autocast_dtype is not None
                ):
                    loss = self.losses(self.model, part).sum() / samples
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._shortage = str(error).split("\n", maxsplit=1)[0]
            return None
        return total

    def _step(self, loss: float) -> float:
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        bound = float("inf") if self.clip_grad_norm is None else self.clip_grad_norm
        norm = float(nn.utils.clip_grad_norm_(parameters, bound))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergenceError(
                f"training diverged: the loss is {loss:.4g}, its gradient's norm {norm:.4g}; make "
                "train.learning_rate smaller, train.warmup_steps larger, or set "
                "train.clip_grad_norm"
            )
        self.optimizer.step()
        return norm


@dataclass(frozen=True)
class _Start:
    """What a failed attempt may have changed, as it stood when the step began."""

    buffers: dict[str, Tensor]
    generator: Tensor
    device_generators: list[Tensor]

    @classmethod
    def of(cls, model: nn.Module) -> "_Start":
        return cls(
            {name: buffer.clone() for name, buffer in model.named_buffers()},
            torch.get_rng_state(),
            torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        )

    def restore(self, model: nn.Module) -> None:
        for name, buffer in model.named_buffers():
            buffer.copy_(self.buffers[name])
        torch.set_rng_state(self.generator)
        if self.device_generators:
            torch.cuda.set_rng_state_all(self.device_generators)


def release_failed_memory() -> None:
    """Gives back what a failed backward pass pins: 613 MB of a small network, 12 afterwards.

    An error inside ``backward()`` keeps its graph alive in the engine until the next one succeeds
    (pytorch issue 82218); the trim then returns the freed blocks to the system.
    """
    torch.ones(1, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]
    if sys.platform.startswith("linux"):
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)

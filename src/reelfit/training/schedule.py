"""The learning rate as a function of the optimizer step, so that there is no state to save."""

import math
from dataclasses import dataclass
from typing import Literal

from reelfit.training.settings import TrainSettings

ScheduleName = Literal["cosine", "linear", "step", "one_cycle", "constant"]
WARMUP_STEPS = 10
"""Steps of the rise, where the study does not say."""
ONE_CYCLE_RISE = 0.3
"""Of one_cycle the share of all steps that it rises in, where the study does not say."""
FIRST_SHARE = 1 / 25
LAST_SHARE = 1 / 250_000
"""What one_cycle begins and ends with, as shares of its highest rate."""


@dataclass(frozen=True)
class Schedule:
    """A rise to ``highest`` in ``warmup_steps``, and what ``name`` says from there to the end.

    cosine and linear fall to zero; step multiplies by ``drop_factor`` after each ``drop_every``
    steps; constant stays. one_cycle rises and falls by half cosines, from 1/25 and to 1/250,000 of
    the highest rate.

    Source: Loshchilov and Hutter, SGDR (2017), without restarts, for cosine; Smith and Topin,
    Super-Convergence (2018), as fastai has it, for one_cycle.
    """

    name: ScheduleName
    highest: float
    total_steps: int
    warmup_steps: int | None = None
    drop_every: int | None = None
    """Of step alone, where it must be given."""
    drop_factor: float = 0.1

    @classmethod
    def asked_by(cls, settings: TrainSettings, *, total_steps: int) -> "Schedule":
        """What a study asks for, over so many optimizer steps."""
        return cls(
            settings.schedule,
            settings.learning_rate,
            total_steps,
            settings.warmup_steps,
            settings.drop_every,
            0.1 if settings.drop_factor is None else settings.drop_factor,
        )

    def rate_at(self, step: int) -> float:
        """The rate for optimizer step ``step``, from 0."""
        rise = self._rise()
        if self.name == "one_cycle":
            return self._one_cycle(step, rise)
        if step < rise:
            return self.highest * (step + 1) / (rise + 1)
        done = step - rise
        progress = min(done / max(self.total_steps - rise, 1), 1.0)
        if self.name == "cosine":
            return self.highest * 0.5 * (1 + math.cos(math.pi * progress))
        if self.name == "linear":
            return self.highest * (1 - progress)
        if self.name == "step":
            assert self.drop_every is not None
            return self.highest * self.drop_factor ** (done // self.drop_every)
        return self.highest

    def _rise(self) -> int:
        steps = self.warmup_steps
        if steps is None:
            one_cycle = self.name == "one_cycle"
            steps = int(ONE_CYCLE_RISE * self.total_steps) if one_cycle else WARMUP_STEPS
        return min(steps, self.total_steps - 1)

    def _one_cycle(self, step: int, rise: int) -> float:
        """Its top is the last step of the rise, as in torch's own."""
        top, last = max(rise - 1, 0), max(self.total_steps - 1, 1)
        if step < top:
            return self._between(FIRST_SHARE, 1.0, step / top)
        return self._between(1.0, LAST_SHARE, min((step - top) / max(last - top, 1), 1.0))

    def _between(self, begin: float, end: float, progress: float) -> float:
        share = end + (begin - end) * (1 + math.cos(math.pi * progress)) / 2
        return self.highest * share

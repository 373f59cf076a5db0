"""A network's profile: its step traced without data, and done for real on a few random clips."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import nn

from reelfit.errors import OutOfMemoryError, UpdateError
from reelfit.memory.profile import ProbedPass, Profile, TechniqueProfile, TracedPass
from reelfit.memory.record import HostMemory, host_memory
from reelfit.memory.rungs import Rung, techniques_of
from reelfit.memory.trace import Traced, trace_step
from reelfit.training.objective import Objective
from reelfit.training.optimizer import ADAMW, Descent, make_optimizer
from reelfit.training.precision import autocast_dtype
from reelfit.training.recovery import clean_shortage
from reelfit.training.step import ExactStep

PROBED = (1, 2)
TRACED = (1, 16)
PASSES = 2
"""Micro-batches of a rehearsed step: from the second on, gradients stand while it computes."""


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed: a network with an objective, on clips of one shape.

    What training imports should be imported before, or it is missing from the base.
    """

    build: Callable[[], nn.Module]
    objective: Objective
    frames: int
    size: tuple[int, int]
    """Height and width of a frame."""
    device: torch.device
    precision: str
    descent: Descent = ADAMW
    averaged: bool = False
    """Whether a running average of the weights is kept."""

    def profile(self) -> Profile:
        """Probes first, for what tracing imports would count as theirs.

        A probe that does not fit the limits of this process is left out, and the profile rests on
        the trace instead. Memory: a step of two micro-batches of two samples each, if that fits.
        """
        began = host_memory()
        probed, resting_bytes = self._probe()
        ended = host_memory()
        traced = {name: [self._trace(name, m) for m in TRACED] for name in probed}
        first, *_ = next(iter(traced.values()))
        on_cpu = self.device.type == "cpu"
        base_bytes = began.rss_bytes if on_cpu else 0
        states_bytes = first.weights_bytes + first.optimizer_bytes + first.buffers_bytes
        return Profile(
            device=self.device.type,
            device_bytes=_device_bytes(self.device),
            frames=self.frames,
            size=self.size,
            host_bytes=began.rss_bytes if on_cpu else ended.rss_bytes,
            base_bytes=base_bytes,
            libraries_bytes=max(0, resting_bytes - base_bytes - states_bytes),
            reserved_bytes=_untouched(began, ended) if on_cpu else 0,
            weights_bytes=first.weights_bytes,
            gradients_bytes=first.gradients_bytes,
            optimizer_bytes=first.optimizer_bytes,
            averages_bytes=first.gradients_bytes if self.averaged else 0,
            buffers_bytes=first.buffers_bytes,
            sample_bytes=first.batch_bytes + self.objective.kept_bytes,
            techniques=tuple(
                TechniqueProfile(name, tuple(map(_as_pass, traced[name])), tuple(probed[name]))
                for name in probed
            ),
        )

    def _probe(self) -> tuple[dict[str, list[ProbedPass]], int]:
        """The passes of each technique that fit, and what rests when they are done."""
        try:
            with clean_shortage("rehearsing"):
                network = self.build().to(self.device).train()
                optimizer = make_optimizer(
                    network, learning_rate=1e-3, weight_decay=0.01, descent=self.descent
                )
        except OutOfMemoryError:  # its weights alone are too much: the trace says how much
            with torch.device("meta"):
                shape = self.build()
            return {name: [] for name in techniques_of(shape, self.device)}, self._held()
        step = ExactStep(
            network,
            optimizer,
            None if self.objective.across else self.objective.losses,
            effective_batch=PASSES * max(PROBED),
            autocast_dtype=autocast_dtype(self.precision, self.device),
            recover=False,
            across=self.objective.across,
            split=self.objective.split,
            count=self.objective.count,
        )
        techniques = techniques_of(network, self.device)
        probed: dict[str, list[ProbedPass]] = {name: [] for name in techniques}
        for name in techniques:
            for micro_batch in PROBED:
                step.rung = Rung(micro_batch, name)
                try:
                    with clean_shortage("rehearsing"):
                        if name == techniques[0]:
                            step(self._make_batch(micro_batch))  # libraries compile what it needs
                        optimizer.zero_grad(set_to_none=True)
                        probed[name].append(self._measure(step))
                except (OutOfMemoryError, UpdateError):
                    break
                finally:
                    optimizer.zero_grad(set_to_none=True)
        return probed, self._held()

    def _measure(self, step: ExactStep) -> ProbedPass:
        batch = self._make_batch(PASSES * step.rung.micro_batch)
        before = self._held()
        began = time.perf_counter()
        outcome = step(batch)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = (time.perf_counter() - began) / PASSES
        return ProbedPass(step.rung.micro_batch, max(0, outcome.peak_bytes - before), seconds)

    def _trace(self, technique: str, micro_batch: int) -> Traced:
        offloaded = technique == "offload"  # which a trace on the CPU would not see
        traced = trace_step(
            self.build,
            self.objective.losses,
            self._make_batch,
            micro_batch=micro_batch,
            technique="plain" if offloaded else technique,
            autocast_dtype=autocast_dtype(self.precision, self.device),
            state_bytes=self.descent.state_bytes,
        )
        if not offloaded:
            return traced
        passing_bytes = traced.peak_bytes - traced.activations_bytes
        return replace(traced, activations_bytes=0, peak_bytes=passing_bytes)

    def _make_batch(self, samples: int) -> Any:
        return self.objective.made_up(samples, frames=self.frames, size=self.size)

    def _held(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        return host_memory().rss_bytes


def _as_pass(traced: Traced) -> TracedPass:
    return TracedPass(traced.micro_batch, traced.activations_bytes, traced.peak_bytes)


def _untouched(began: HostMemory, ended: HostMemory) -> int:
    """What was reserved between the two and is not resident."""
    grown_bytes = ended.data_bytes - began.data_bytes
    return max(0, grown_bytes - (ended.rss_bytes - began.rss_bytes))


def _device_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)

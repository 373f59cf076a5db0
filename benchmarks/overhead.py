"""What the exact step costs beside a plain loop that accumulates gradients, and nothing else."""

import copy
import statistics
import time
from typing import Any

import torch
from measured import write_result
from torch import nn

from reelfit.models import make_model
from reelfit.training.optimizer import make_optimizer
from reelfit.training.step import ExactStep

ROUNDS = 15
STEPS = 4
BATCH, MICRO_BATCH = 8, 2
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "r2plus1d": ({"width": 16}, (8, 3, 64, 64)),
    "naive_cnn": ({}, (8, 3, 64, 64)),
}


def losses(model: nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """One loss per sample."""
    return nn.functional.cross_entropy(model(part[0]), part[1], reduction="none")


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
    """What people write by hand."""
    clips, targets = batch
    optimizer.zero_grad()
    total = 0.0
    for begin in range(0, BATCH, MICRO_BATCH):
        part = clips[begin : begin + MICRO_BATCH], targets[begin : begin + MICRO_BATCH]
        loss = losses(model, part).sum() / BATCH
        loss.backward()
        total += float(loss.detach())
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return total


def compare(name: str) -> dict[str, float]:
    """Median seconds of a step, in turn, and the median of the ratios of each round."""
    options, shape = MODELS[name]
    torch.manual_seed(0)
    batch = torch.randn(BATCH, *shape), torch.randint(0, 2, (BATCH,))
    model = make_model(name, options).build(num_outputs=2)
    other = copy.deepcopy(model)
    by_hand = make_optimizer(model, learning_rate=1e-3, weight_decay=0.0)
    exact = ExactStep(
        other,
        make_optimizer(other, learning_rate=1e-3, weight_decay=0.0),
        losses,
        BATCH,
        micro_batch=MICRO_BATCH,
        clip_grad_norm=1.0,
    )
    rounds: list[tuple[float, float]] = []
    for number in range(ROUNDS + 2):
        found = []
        for work in (lambda: plain_step(model, by_hand, batch), lambda: exact(batch)):
            began = time.process_time()
            for _ in range(STEPS):
                work()
            found.append((time.process_time() - began) / STEPS)
        if number >= 2:  # the first rounds warm up
            rounds.append((found[0], found[1]))
    return {
        "plain_ms": round(1000 * statistics.median(a for a, _ in rounds), 2),
        "exact_ms": round(1000 * statistics.median(b for _, b in rounds), 2),
        "ratio": round(statistics.median(b / a for a, b in rounds), 4),
    }


torch.set_num_threads(1)
write_result("overhead", {"clock": "processor time", "models": {n: compare(n) for n in MODELS}})

"""Every schedule has the rates of torch's own scheduler, step by step."""

import warnings
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as of_torch

from reelfit.training.schedule import Schedule

HIGHEST = 0.3


def rates_of_torch(make: Any, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=HIGHEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step is taken between two rates
        scheduler = make(optimizer)
        found = []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return found


def rates(name: str, steps: int, **settings: Any) -> list[float]:
    schedule = Schedule(name, HIGHEST, steps, **settings)  # type: ignore[arg-type]
    return [schedule.rate_at(step) for step in range(steps)]


AFTER_WARMUP = {
    "cosine": of_torch.CosineAnnealingLR,
    "linear": lambda optimizer, steps: of_torch.LinearLR(optimizer, 1.0, 0.0, steps),
    "step": lambda optimizer, _: of_torch.StepLR(optimizer, 7, 0.2),
    "constant": lambda optimizer, _: of_torch.ConstantLR(optimizer, 1.0),
}


@pytest.mark.parametrize("warmup", [0, 1, 10])
@pytest.mark.parametrize("name", AFTER_WARMUP)
def test_a_schedule_is_torchs_after_a_warm_up_that_is_torchs(name: str, warmup: int) -> None:
    drops = {"drop_every": 7, "drop_factor": 0.2} if name == "step" else {}
    found = rates(name, 40, warmup_steps=warmup, **drops)
    rise = lambda optimizer: of_torch.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)  # noqa: E731
    after = rates_of_torch(lambda it: AFTER_WARMUP[name](it, 40 - warmup), 40 - warmup)
    before = rates_of_torch(rise, warmup) if warmup else []
    assert found == pytest.approx(before + after, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("steps", "rise"), [(40, 12), (10, 3), (7, 2)])
def test_one_cycle_is_torchs_with_its_rise_where_nothing_else_is_said(
    steps: int, rise: int
) -> None:
    wanted = rates_of_torch(
        lambda it: of_torch.OneCycleLR(
            it, HIGHEST, steps, pct_start=rise / steps, cycle_momentum=False
        ),
        steps,
    )
    assert rates("one_cycle", steps, warmup_steps=rise) == pytest.approx(wanted, rel=1e-9)
    assert rates("one_cycle", steps) == rates("one_cycle", steps, warmup_steps=rise)


def test_nothing_said_is_a_warm_up_of_ten_steps() -> None:
    for name in ("cosine", "linear", "constant"):
        assert (
            rates(name, 40) == rates(name, 40, warmup_steps=10) != rates(name, 40, warmup_steps=9)
        )


@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_training_of_few_steps_learns_in_each_of_them(name: str, steps: int) -> None:
    assert all(0 < rate <= HIGHEST for rate in rates(name, steps))


def test_rates_go_on_past_the_end_without_an_error() -> None:
    for name in ("cosine", "linear", "one_cycle"):
        schedule = Schedule(name, HIGHEST, 20)  # type: ignore[arg-type]
        assert 0 <= schedule.rate_at(25) <= 1e-4 * HIGHEST

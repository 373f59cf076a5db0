"""Optimizers take torch's own steps, and hold what a plan counts before their first."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from reelfit.training.optimizer import Descent, allocate_state, make_optimizer, set_rate

KINDS = {
    "adamw": (Descent(), torch.optim.AdamW, {}),
    "sgd": (Descent("sgd"), torch.optim.SGD, {}),
    "momentum": (Descent("sgd", 0.9), torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (
        Descent("sgd", 0.8, nesterov=True),
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
}


def network() -> nn.Module:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2))
    model[0].weight.requires_grad_(False)
    return model


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(6, 4, generator=generator)).square().mean().backward()
        optimizer.step()
    return model.state_dict()


def state_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [value for state in optimizer.state.values() for value in state.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch_with_the_same_settings(kind: str) -> None:
    descent, of_torch, settings = KINDS[kind]
    ours, theirs = network(), network()
    matrices = [p for p in theirs.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.requires_grad and p.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    wanted = stepped(theirs, of_torch(groups, lr=0.05, weight_decay=0.3, **settings))
    made = make_optimizer(ours, learning_rate=0.05, weight_decay=0.3, descent=descent)
    for name, found in stepped(ours, made).items():
        assert torch.equal(found, wanted[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_all_state_stands_before_the_first_step_and_has_the_bytes_that_a_plan_counts(
    kind: str,
) -> None:
    descent = KINDS[kind][0]
    model = network()
    optimizer = make_optimizer(model, learning_rate=0.05, weight_decay=0.3, descent=descent)
    before = [tensor.data_ptr() for tensor in state_of(optimizer)]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(tensor.nbytes for tensor in state_of(optimizer)) == descent.state_bytes(trained)
    stepped(model, optimizer)
    assert [tensor.data_ptr() for tensor in state_of(optimizer)] == before


def test_sgd_holds_one_buffer_or_none_and_adamw_two() -> None:
    assert [KINDS[kind][0].copies for kind in KINDS] == [2, 0, 1, 1]


def test_what_is_not_trained_is_in_no_group_and_has_no_gradient_and_no_state() -> None:
    model = network()
    frozen = model[0].weight
    optimizer = make_optimizer(model, learning_rate=0.05, weight_decay=0.3)
    stepped(model, optimizer)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert all(p is not frozen for p in grouped)
    assert len(grouped) == len(list(model.parameters())) - 1
    assert frozen.grad is None
    assert frozen not in optimizer.state


@pytest.mark.parametrize("everywhere", [False, True])
def test_biases_and_norms_decay_only_where_it_is_asked(everywhere: bool) -> None:
    model = network()
    descent = Descent("sgd", decay_vectors=everywhere)
    optimizer = make_optimizer(model, learning_rate=0.1, weight_decay=0.5, descent=descent)
    nn.init.ones_(model[1].weight)
    before = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model[3].weight, before[3].weight * 0.95)
    torch.testing.assert_close(model[1].weight, before[1].weight * (0.95 if everywhere else 1.0))
    assert torch.equal(model[0].weight, before[0].weight)


def test_a_factor_makes_a_parameter_learn_at_its_own_rate() -> None:
    model = network()
    factors = {"3.weight": 0.1, "3.bias": 0.1}
    descent = Descent("sgd")
    optimizer = make_optimizer(
        model, learning_rate=1.0, weight_decay=0.0, descent=descent, factors=factors
    )
    set_rate(optimizer, 0.5)
    before = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {
        name: float((was - now).mean().detach())
        for (name, was), now in zip(before.named_parameters(), model.parameters(), strict=True)
    }
    assert moved == pytest.approx(
        {name: 0.0 if name == "0.weight" else 0.5 * factors.get(name, 1.0) for name in moved},
        abs=1e-6,
    )


def test_sgd_with_dampening_begins_with_its_own_first_buffer() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=0.5)
    allocate_state(optimizer)
    assert not any(optimizer.state.values())

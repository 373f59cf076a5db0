"""Batch norm in a batch that is cut into parts gives the gradient of the whole."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from reelfit.training.step import ExactStep


def network() -> nn.Module:
    """Convolutions in one, two and three dimensions' worth of layers, dropout between them."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.BatchNorm2d(8, momentum=None),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8 * 9, 5),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 4),
    ).double()


def losses(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def batch(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(samples)
    clips = torch.randn(samples, 3, 8, 8, generator=generator).double() * 3 + 1
    return clips, torch.randint(0, 4, (samples,), generator=generator)


def after_step(model: nn.Module, samples: int, **settings: Any) -> dict[str, torch.Tensor]:
    """Gradients and buffers after one step that leaves the weights."""
    model = copy.deepcopy(model)
    step = ExactStep(
        model, torch.optim.SGD(model.parameters(), lr=0.0), losses, samples, **settings
    )
    outcome = step(batch(samples))
    assert outcome.samples == samples
    gradients = {f"{name}.grad": p.grad for name, p in model.named_parameters()}
    return (
        gradients
        | dict(model.named_buffers())
        | {"loss": torch.tensor(outcome.loss, dtype=torch.float64)}
    )


def without_dropout(model: nn.Module) -> nn.Module:
    model[3] = nn.Identity()
    return model


@pytest.mark.parametrize("technique", ["plain", "checkpointing"])
@pytest.mark.parametrize("micro_batch", [1, 2, 5])
def test_an_exact_split_has_gradient_and_buffers_of_the_whole_batch(micro_batch, technique):
    model = without_dropout(network())
    whole = after_step(model, 7)
    cut = after_step(model, 7, micro_batch=micro_batch, coupling="exact", technique=technique)
    for name, wanted in whole.items():
        torch.testing.assert_close(cut[name], wanted, rtol=1e-9, atol=1e-12, msg=name)


def test_dropout_before_a_layer_is_drawn_alike_in_every_pass():
    """By finite differences of the loss along the gradient: masks that differ would break it."""
    model, samples = network(), 6
    torch.manual_seed(11)
    start = after_step(model, samples, micro_batch=2, coupling="exact")
    moved = copy.deepcopy(model)
    length = 1e-8
    norm = sum(float(g.square().sum()) for n, g in start.items() if n.endswith(".grad"))
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            parameter.add_(start[f"{name}.grad"], alpha=length)
    torch.manual_seed(11)
    there = after_step(moved, samples, micro_batch=2, coupling="exact")
    assert float(there["loss"] - start["loss"]) == pytest.approx(length * norm, rel=1e-4)


def test_freezing_uses_and_leaves_the_running_statistics():
    model = without_dropout(network())
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    frozen = after_step(model, 6, micro_batch=2, coupling="freeze")
    assert all(torch.equal(frozen[name], value) for name, value in before.items())
    alone = after_step(copy.deepcopy(model).eval(), 6)
    for name in before.keys() | {"0.weight.grad"}:
        torch.testing.assert_close(frozen[name], alone[name], rtol=1e-9, atol=1e-12)


def test_accepting_normalises_each_part_by_itself_and_is_another_gradient():
    model = without_dropout(network())
    accepted = after_step(model, 6, micro_batch=2, coupling="accept")["0.weight.grad"]
    whole = after_step(model, 6)["0.weight.grad"]
    assert (accepted - whole).norm() > 0.05 * whole.norm()


def test_many_layers_are_refused_until_a_way_is_chosen_and_only_when_a_batch_is_cut():
    model = nn.Sequential(*(nn.BatchNorm1d(4) for _ in range(9)), nn.Linear(4, 4))

    def step(**settings: Any) -> ExactStep:
        return ExactStep(model, torch.optim.SGD(model.parameters(), lr=0.1), losses, 4, **settings)

    flat = torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)
    assert step()(flat).samples == 4
    with pytest.raises(ValueError, match='9 batch norm layers: coupling="exact" keeps'):
        step(micro_batch=2)(flat)
    assert step(micro_batch=2, coupling="exact")(flat).micro_batch == 2


def test_a_layer_used_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.norm(inputs)))

    model = Twice()
    step = ExactStep(model, torch.optim.SGD(model.parameters(), lr=0.1), losses, 4, micro_batch=2)
    with pytest.raises(ValueError, match="used twice"):
        step((torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)))


def test_a_layer_without_running_statistics_cannot_be_frozen():
    model = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 4))
    step = ExactStep(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        losses,
        4,
        micro_batch=2,
        coupling="freeze",
    )
    with pytest.raises(ValueError, match="keeps no running statistics"):
        step((torch.randn(4, 4), torch.zeros(4, dtype=torch.int64)))


@pytest.mark.parametrize("technique", ["plain", "checkpointing"])
def test_layers_in_lists_are_exact_as_well(technique):
    class Lists(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linears = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
            self.norms = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(2))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            for linear, norm in zip(self.linears, self.norms, strict=True):
                inputs = norm(linear(inputs)).tanh()
            return inputs

    torch.manual_seed(2)
    model = Lists().double()
    flat = torch.randn(6, 4).double(), torch.randint(0, 4, (6,))
    found = []
    for settings in ({}, {"micro_batch": 2, "coupling": "exact", "technique": technique}):
        one = copy.deepcopy(model)
        ExactStep(one, torch.optim.SGD(one.parameters(), lr=0.0), losses, 6, **settings)(flat)
        found.append([p.grad for p in one.parameters()])
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-9, atol=1e-12)

"""A traced step has the bytes that a real one has."""

import pytest
import torch
from torch import Tensor, nn

from reelfit.memory.trace import trace_step
from reelfit.models import MODELS
from reelfit.models.model import Network


def small_network() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 2))


def losses(network: nn.Module, clips: Tensor) -> Tensor:
    return network(clips).sum(1)


def vectors(samples: int) -> Tensor:
    return torch.zeros(samples, 10)


def test_every_component_is_what_arithmetic_says() -> None:
    traced = trace_step(small_network, losses, vectors, micro_batch=4)
    parameters = 10 * 20 + 20 + 20 * 2 + 2
    assert traced.weights_bytes == traced.gradients_bytes == 4 * parameters
    assert traced.optimizer_bytes == 8 * parameters + 4 * 4  # two moments, and a step each
    assert traced.buffers_bytes == 0
    assert traced.batch_bytes == 4 * 10 * 4
    assert traced.activations_bytes == 4 * 20 * 4 + 4  # what tanh gave, and the loss
    assert traced.peak_bytes > traced.activations_bytes


def test_weights_that_two_layers_share_count_once() -> None:
    def tied() -> nn.Module:
        network = small_network()
        network.add_module("again", nn.Linear(10, 20))
        network[3].weight = network[0].weight
        return network

    first = lambda network, clips: network[3](clips).sum(1) + network[:3](clips).sum(1)  # noqa: E731
    alone = trace_step(small_network, losses, vectors, micro_batch=1)
    shared = trace_step(tied, first, vectors, micro_batch=1)
    assert shared.weights_bytes == alone.weights_bytes + 20 * 4  # the second bias alone


def test_batch_norm_has_buffers_and_frozen_weights_no_gradients() -> None:
    def half_frozen() -> nn.Module:
        network = nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.Linear(20, 2))
        network[0].requires_grad_(False)
        return network

    traced = trace_step(half_frozen, losses, vectors, micro_batch=2)
    assert traced.buffers_bytes == 2 * 20 * 4 + 8
    assert traced.weights_bytes - traced.gradients_bytes == 4 * (10 * 20 + 20)


def test_tracing_reads_no_data_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    trace_step(small_network, losses, vectors, micro_batch=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_larger_than_any_machine_can_be_traced() -> None:
    width = 2**21
    traced = trace_step(
        lambda: nn.Linear(width, width), losses, lambda n: torch.zeros(n, width), micro_batch=1
    )
    assert traced.weights_bytes > 2**44


def real_peak_bytes(network: nn.Module, batch: Tensor) -> int:
    """The most that torch's allocator held in one pass, by its own profiler."""
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.profiler.profile(profile_memory=True) as profiled:
        losses(network, batch).sum().backward()
    now = peak = 0
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def test_a_real_step_without_workspaces_holds_what_was_traced() -> None:
    def deep() -> nn.Module:
        layers = [nn.Sequential(nn.Linear(10, 10), nn.LayerNorm(10), nn.Tanh()) for _ in range(4)]
        return nn.Sequential(*layers)

    traced = trace_step(deep, losses, vectors, micro_batch=500)
    assert traced.peak_bytes == pytest.approx(real_peak_bytes(deep(), vectors(500)), rel=0.01)


@pytest.mark.parametrize("name", [n for n, kind in MODELS.items() if issubclass(kind, Network)])
def test_the_trace_of_a_model_is_no_more_than_its_real_step(name: str) -> None:
    def build() -> nn.Module:
        kind = MODELS[name]
        assert issubclass(kind, Network)
        return kind().build(num_outputs=2)

    def clips(samples: int) -> Tensor:
        return torch.zeros(samples, 4, 3, 32, 32)

    traced = trace_step(build, losses, clips, micro_batch=3)
    assert 0 < traced.peak_bytes <= real_peak_bytes(build().train(), clips(3))


def test_checkpointing_leaves_fewer_activations() -> None:
    def deep() -> nn.Module:
        return nn.Sequential(*(nn.Sequential(nn.Linear(10, 10), nn.Tanh()) for _ in range(8)))

    plain = trace_step(deep, losses, vectors, micro_batch=64)
    checkpointed = trace_step(deep, losses, vectors, micro_batch=64, technique="checkpointing")
    assert checkpointed.activations_bytes < plain.activations_bytes
    assert checkpointed.weights_bytes == plain.weights_bytes

"""One optimizer step is the same whatever micro-batch memory allows."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from reelfit.training.step import ExactStep


def gradients(micro_batch: int, samples: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    clips, targets = torch.randn(samples, 6).double(), torch.randint(0, 3, (samples,))
    step = ExactStep(
        model,
        torch.optim.SGD(model.parameters(), lr=0.0),
        lambda network, part: nn.functional.cross_entropy(
            network(part[0]), part[1], reduction="none"
        ),
        micro_batch=micro_batch,
    )
    outcome = step((clips, targets))
    assert outcome.samples == samples
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5])
def test_the_gradient_of_a_ragged_batch_is_that_of_the_whole(micro_batch: int) -> None:
    for part, whole in zip(gradients(micro_batch, 7), gradients(7, 7), strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-14)


def test_another_error_is_not_taken_for_a_shortage() -> None:
    model = nn.Linear(2, 2)
    step = ExactStep(
        model, torch.optim.SGD(model.parameters(), lr=0.1), lambda m, part: m(part[0]).sum(1), 4
    )
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        step((torch.zeros(4, 3),))


SHORTAGE = """
import resource, sys, torch
from torch import nn
from reelfit.memory.limits import limit_host_memory
from reelfit.training.step import ExactStep
from reelfit.errors import OutOfMemoryError

def run(micro_batch, limit_mib, width):
    torch.manual_seed(1)
    model = nn.Linear(4, 4)
    def losses(network, part):
        wide = network(part[0]).repeat(1, width).exp().tanh()
        return wide.mean(1)
    step = ExactStep(model, torch.optim.SGD(model.parameters(), lr=0.1), losses, micro_batch)
    batch = torch.linspace(-1, 1, 64).reshape(16, 4)
    nn.Linear(2, 2)(torch.zeros(1, 2)).sum().backward()  # threads and buffers of torch stand
    soft = resource.getrlimit(resource.RLIMIT_DATA)
    if limit_mib:
        assert limit_host_memory(limit_mib * 2**20 + 8 * 2**20 + rss())
    try:
        outcome = step((batch,))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, soft)
    return outcome, [p.detach().clone() for p in model.parameters()]

def rss():
    from reelfit.memory.record import host_memory
    return host_memory().rss_bytes

short, weights = run(16, 150, 500_000)
assert short.retries and short.micro_batch < 16, short
_, straight = run(short.micro_batch, 0, 500_000)
assert all(torch.equal(a, b) for a, b in zip(weights, straight))
try:
    run(16, 60, 20_000_000)
except OutOfMemoryError as error:
    assert "one sample does not fit" in str(error)
    print("exact")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_a_real_shortage_ends_like_a_run_at_the_smaller_micro_batch() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SHORTAGE], capture_output=True, text=True, check=False
    )
    assert told.stdout.strip() == "exact", told.stderr[-2000:]

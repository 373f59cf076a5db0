"""One optimizer step is the same whatever micro-batch memory allows."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from reelfit import ExactStep
from reelfit.errors import DivergenceError
from reelfit.memory.allocator import child_environment


def small_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def losses(model: nn.Module, part: Any) -> torch.Tensor:
    return nn.functional.cross_entropy(model(part[0]), part[1], reduction="none")


def batch_of(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(samples, 6, generator=generator).double(),
        torch.randint(0, 3, (samples,), generator=generator),
    )


def stepped(model: nn.Module, batch: Any = None, **settings: Any) -> Any:
    settings = {"losses": losses, "effective_batch": 7} | settings
    optimizer = settings.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=0.0)
    step = ExactStep(model, optimizer, **settings)
    return step(batch_of(7) if batch is None else batch)


def gradients(micro_batch: int, samples: int) -> list[torch.Tensor]:
    model = small_model()
    outcome = stepped(model, batch_of(samples), micro_batch=micro_batch)
    assert outcome.samples == samples
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5])
def test_the_gradient_of_a_ragged_batch_is_that_of_the_whole(micro_batch):
    for part, whole in zip(gradients(micro_batch, 7), gradients(7, 7), strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-14)


def test_the_last_smaller_batch_is_divided_by_its_own_samples():
    for part, whole in zip(gradients(2, 3), gradients(3, 3), strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-14)


def test_the_outcome_tells_what_was_done_and_gradients_stay_until_the_next_step():
    model = small_model()
    outcome = stepped(model, micro_batch=3)
    alone = losses(model, batch_of(7)).mean()
    assert outcome.loss == pytest.approx(float(alone.detach()), abs=1e-12)
    assert (outcome.samples, outcome.micro_batch, outcome.retries) == (7, 3, 0)
    assert outcome.technique == "plain"
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert outcome.grad_norm == pytest.approx(float(found.norm()), rel=1e-6)
    assert outcome.peak_bytes > 50 * 2**20  # torch alone is more


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


def test_batches_are_nested_as_their_owner_likes():
    inputs, targets = batch_of(7)
    nested = {"pair": Pair(inputs, -inputs), "more": [(targets,), {"name": "a word"}]}

    def of_nested(model: nn.Module, part: Any) -> torch.Tensor:
        assert type(part["pair"]) is Pair
        assert part["more"][1] == {"name": "a word"}
        outputs = model(part["pair"].left) + model(part["pair"].right)
        return nn.functional.cross_entropy(outputs, part["more"][0][0], reduction="none")

    models = small_model(), small_model()
    for model, micro_batch in zip(models, (7, 2), strict=True):
        assert stepped(model, nested, losses=of_nested, micro_batch=micro_batch).samples == 7
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-14)


def test_a_split_of_ones_own_may_be_given():
    inputs, targets = batch_of(7)
    outcome = stepped(
        small_model(),
        {"rows": list(range(7))},
        losses=lambda model, rows: losses(model, (inputs[rows], targets[rows])),
        split=lambda batch, begin, end: batch["rows"][begin:end],
        count=lambda batch: len(batch["rows"]),
        micro_batch=3,
    )
    assert outcome.samples == 7


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (batch_of(8), "8 samples, more than effective_batch=7"),
        ((torch.zeros(3, 6), torch.zeros(2)), "one first axis"),
        ((torch.zeros(0, 6), torch.zeros(0)), "one first axis"),
        (("no tensor",), "one first axis"),
        (torch.tensor(1.0), "one first axis"),
    ],
)
def test_a_batch_that_cannot_be_cut_is_refused(batch, said):
    with pytest.raises(ValueError, match=said):
        stepped(small_model(), batch)


def test_another_error_is_not_taken_for_a_shortage():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        stepped(small_model(), (torch.zeros(4, 3).double(), torch.zeros(4).long()))


def test_a_loss_that_is_no_number_leaves_the_weights():
    model = small_model()
    before = [p.clone() for p in model.parameters()]
    inputs, targets = batch_of(7)
    inputs[3, 2] = torch.nan
    optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(DivergenceError, match="diverged"):
        stepped(model, (inputs, targets), optimizer=optimizer, micro_batch=2)
    assert all(torch.equal(b, p) for b, p in zip(before, model.parameters(), strict=True))


def test_scaler_scheduler_and_clipping_may_be_handed_in():
    models = small_model().float(), small_model().float()
    inputs, targets = batch_of(7)
    batch = inputs.float(), targets
    rates = []
    for model, scaler in zip(models, (None, torch.amp.GradScaler("cpu")), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
        step = ExactStep(
            model, optimizer, losses, 7, micro_batch=2, clip_grad_norm=0.1, scaler=scaler,
            scheduler=scheduler,
        )  # fmt: skip
        assert step(batch).loss == pytest.approx(1.1, abs=0.5)
        rates.append(scheduler.get_last_lr())
    assert rates == [[0.05], [0.05]]
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
        assert one.grad.norm() <= 0.1001


SHORTAGE = """
import resource, sys, torch
from torch import nn
from reelfit.memory.limits import limit_host_memory
from reelfit.memory.record import host_memory
from reelfit.training.step import ExactStep
from reelfit.errors import OutOfMemoryError

shortages = []

def run(micro_batch, limit_mib, width):
    torch.manual_seed(1)
    model = nn.Linear(4, 4)
    def losses(network, part):
        wide = nn.functional.dropout(network(part[0])).repeat(1, width).exp().tanh()
        return wide.mean(1)
    shortages.clear()
    splits = []
    step = ExactStep(
        model, torch.optim.SGD(model.parameters(), lr=0.1), losses, 16, micro_batch=micro_batch,
        on_shortage=lambda shortage, _: shortages.append(shortage),
        on_split=lambda rung, samples: splits.append((rung, samples)),
    )
    batch = torch.linspace(-1, 1, 64).reshape(16, 4)
    nn.Linear(2, 2)(torch.zeros(1, 2)).sum().backward()  # threads and buffers of torch stand
    soft = resource.getrlimit(resource.RLIMIT_DATA)
    if limit_mib:
        assert limit_host_memory(limit_mib * 2**20 + 8 * 2**20 + host_memory().rss_bytes)
    try:
        outcome = step((batch,))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, soft)
    assert len(shortages) == outcome.retries and splits == [(step.rung, 16)]
    assert all(shortage.then for shortage in shortages)
    assert not shortages or shortages[-1].then == step.rung
    return outcome, [p.detach().clone() for p in model.parameters()]

short, weights = run(16, 150, 500_000)
assert short.retries and short.micro_batch < 16, short
_, straight = run(short.micro_batch, 0, 500_000)
assert all(torch.equal(a, b) for a, b in zip(weights, straight))
try:
    run(16, 60, 20_000_000)
except OutOfMemoryError as error:
    assert "one sample does not fit" in str(error)
    assert [shortage.then is None for shortage in shortages[-2:]] == [False, True]
    print("exact")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_a_real_shortage_ends_like_a_run_at_the_smaller_micro_batch():
    told = subprocess.run(
        [sys.executable, "-c", SHORTAGE], capture_output=True, text=True, check=False
    )
    assert told.stdout.strip() == "exact", told.stderr[-2000:]


def test_a_loss_that_is_a_mean_already_is_refused():
    with pytest.raises(ValueError, match=r"losses of shape \(\) for 3 samples: give one loss"):
        stepped(
            small_model(),
            losses=lambda model, part: losses(model, part).mean(),
            micro_batch=3,
        )


PLANNED = """
import json, sys
import torch
from reelfit import ExactStep
from reelfit.memory.record import host_memory
from reelfit.models import make_model

torch.set_num_threads(1)
MIB = 2**20
over = json.loads(sys.argv[1])


def losses(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def gradients(micro_batch, memory):
    torch.manual_seed(0)
    model = make_model("r2plus1d", {"width": 16, "dropout": 0.5}).build(num_outputs=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    step = ExactStep(model, optimizer, losses, 96, memory, micro_batch=micro_batch)
    torch.manual_seed(1)
    batch = torch.randn(96, 8, 3, 64, 64), torch.arange(96) % 2
    outcome = step(batch)
    found = [p.grad for p in model.parameters() if p.grad is not None]
    return outcome, found, torch.get_rng_state()


gradients(2, None)  # what libraries keep
held = host_memory().rss_bytes
outcome, found, state = gradients(None, held + over * MIB)
again, wanted, same = gradients(outcome.micro_batch, None)
print(json.dumps({
    "micro_batch": outcome.micro_batch,
    "retries": outcome.retries,
    "samples": outcome.samples,
    "peak_mib": (outcome.peak_bytes - held) / MIB,
    "same": all(map(torch.equal, found, wanted)) and torch.equal(state, same),
}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
@pytest.mark.parametrize("over_mib", [200, 4000])
def test_a_step_that_is_told_its_memory_is_planned_by_passes_of_which_nothing_stays(over_mib):
    """Without a plan its 96 samples would be tried at once, which takes some 700 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PLANNED, str(over_mib)],
        env=child_environment({"PATH": ""}, threads=1),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert (found["samples"], found["same"]) == (96, True)
    assert found["retries"] == 0
    if over_mib == 4000:
        assert found["micro_batch"] == 96
    else:
        assert 4 < found["micro_batch"] < 48
        assert 0.4 * over_mib < found["peak_mib"] < over_mib

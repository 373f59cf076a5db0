"""A loss that couples the samples of a batch has the gradient of the whole, however it is cut."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from reelfit.memory.allocator import child_environment
from reelfit.training.across import Across
from reelfit.training.step import ExactStep


class Two(nn.Module):
    """Encoders of two kinds of samples, and a temperature of their own."""

    def __init__(self, *, dropout: float = 0.0, norm: Any = nn.GroupNorm) -> None:
        super().__init__()
        normalise = norm(2, 8) if norm is nn.GroupNorm else norm(8)
        self.one = nn.Sequential(
            nn.Linear(6, 8), nn.Tanh(), normalise, nn.Dropout(dropout), nn.Linear(8, 5)
        )
        self.other = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 5))
        self.temperature = nn.Parameter(torch.tensor(1.5))
        self.weight = nn.Linear(5, 3)


class Contrast(Across):
    """Cross entropy over whole rows and columns; a share of the own losses may be added."""

    def __init__(self, share: float = 0.0) -> None:
        self.share = share

    def embed(self, model, part):
        one, other = (
            functional.normalize(model.one(part[0])),
            functional.normalize(model.other(part[1])),
        )
        own = self.share * functional.cross_entropy(model.weight(one), part[2], reduction="none")
        return {"one": one, "other": other, "class": part[2]}, own

    def loss(self, model, embeddings):
        assert embeddings["class"].dtype == torch.int64
        scores = embeddings["one"] @ embeddings["other"].T * model.temperature.exp()
        true = torch.arange(len(scores))
        return (
            functional.cross_entropy(scores, true) + functional.cross_entropy(scores.T, true)
        ) / 2


def network(**settings: Any) -> nn.Module:
    torch.manual_seed(1)
    return Two(**settings)


def batch_of(samples: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(samples, 6, generator=generator).to(dtype),
        torch.randn(samples, 4, generator=generator).to(dtype),
        torch.randint(0, 3, (samples,), generator=generator),
    )


def after_step(model: nn.Module, batch: Any, across: Across, **settings: Any) -> Any:
    model = copy.deepcopy(model)
    settings = {"effective_batch": 13} | settings
    torch.manual_seed(5)
    step = ExactStep(
        model, torch.optim.SGD(model.parameters(), lr=0.0), None, across=across, **settings
    )
    outcome = step(batch)
    return outcome, dict(model.named_parameters()) | dict(model.named_buffers())


def directly(model: nn.Module, batch: Any, across: Across, micro_batch: int) -> Any:
    """The loss of the whole batch with one graph, of parts that draw the dropout of a step's."""
    model = copy.deepcopy(model)
    torch.manual_seed(5)
    seed = int(torch.randint(2**31, ()))
    found: list[Any] = []
    for number, part in enumerate(zip(*(t.split(micro_batch) for t in batch), strict=True)):
        torch.manual_seed(seed + number)
        found.append(across.embed(model, part))
    names = found[0][0]
    whole = {name: torch.cat([embeddings[name] for embeddings, _ in found]) for name in names}
    loss = across.loss(model, whole) + torch.cat([own for _, own in found]).mean()
    loss.backward()
    return float(loss.detach()), dict(model.named_parameters())


def assert_same_gradients(found: Any, wanted: Any, *, atol: float) -> None:
    for name, parameter in wanted.items():
        one, other = found[name].grad, parameter.grad
        assert (one is None) == (other is None), name
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 12, 13])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("share", [0.0, 0.7])
def test_the_gradient_is_that_of_the_whole_batch(micro_batch, dropout, share):
    model, across, batch = network(dropout=dropout), Contrast(share), batch_of(13)
    outcome, found = after_step(model, batch, across, micro_batch=micro_batch)
    loss, wanted = directly(model, batch, across, micro_batch)
    assert (outcome.samples, outcome.micro_batch) == (13, micro_batch)
    assert outcome.loss == pytest.approx(loss, abs=1e-6)
    assert_same_gradients(found, wanted, atol=1e-6)
    assert all(found[n].grad.abs().max() > 1e-4 for n in ("one.0.weight", "temperature"))


def test_in_double_precision_the_cut_is_without_effect():
    model, batch = network().double(), batch_of(13, torch.float64)
    _, whole = after_step(model, batch, Contrast(0.5))
    for micro_batch in (1, 4, 6):
        _, cut = after_step(model, batch, Contrast(0.5), micro_batch=micro_batch)
        assert_same_gradients(cut, whole, atol=1e-14)


def test_a_part_by_itself_would_have_another_gradient():
    model, batch = network(), batch_of(13)
    _, found = after_step(model, batch, Contrast(), micro_batch=2)
    alone = copy.deepcopy(model)
    for part in zip(*(t.split(2) for t in batch), strict=True):
        embeddings, _ = Contrast().embed(alone, part)
        (Contrast().loss(alone, embeddings) * len(part[0]) / 13).backward()
    theirs, ours = alone.one[0].weight.grad, found["one.0.weight"].grad
    assert (theirs - ours).norm() > 0.3 * ours.norm()


def test_activation_checkpointing_draws_the_same_dropout():
    model, across, batch = network(dropout=0.4), Contrast(0.7), batch_of(13)
    _, plain = after_step(model, batch, across, micro_batch=4)
    outcome, found = after_step(model, batch, across, micro_batch=4, technique="checkpointing")
    assert outcome.technique == "checkpointing"
    assert_same_gradients(found, plain, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scaler_and_autocast_are_those_of_the_step(dtype):
    model, across, batch = network(dropout=0.4), Contrast(0.7), batch_of(13)
    _, wanted = after_step(model, batch, across, micro_batch=13, autocast_dtype=dtype)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    _, found = after_step(model, batch, across, micro_batch=13, autocast_dtype=dtype, scaler=scaler)
    assert_same_gradients(found, wanted, atol=2e-3)
    first, plain = after_step(model, batch, across, micro_batch=4, autocast_dtype=dtype)
    scaled, cut = after_step(
        model, batch, across, micro_batch=4, autocast_dtype=dtype, scaler=scaler
    )
    assert_same_gradients(cut, plain, atol=2e-3)
    assert scaled.loss == pytest.approx(first.loss, abs=1e-5)
    assert first.loss != after_step(model, batch, across, micro_batch=4)[0].loss


class Items(Contrast):
    """Each sample has one or several rows of the first kind, whose mean counts."""

    def embed(self, model, part):
        rows, of, others, classes = part
        inner = model.one(rows)
        sums = inner.new_zeros(len(others), 5).index_add(0, of, inner)
        one = functional.normalize(sums / torch.bincount(of, minlength=len(others))[:, None])
        other = functional.normalize(model.other(others))
        own = self.share * functional.cross_entropy(model.weight(one), classes, reduction="none")
        return {"one": one, "other": other, "class": classes}, own


def take_items(batch: Any, begin: int, end: int) -> Any:
    rows, of, others, classes = batch
    kept = (of >= begin) & (of < end)
    return rows[kept], of[kept] - begin, others[begin:end], classes[begin:end]


def test_items_of_one_or_several_clips_are_cut_between_items():
    of = torch.tensor([0, 0, 0, 1, 2, 2, 3, 4, 5, 5, 5, 5, 6])
    rows, others, classes = batch_of(13, torch.float64)
    batch = rows, of, others[:7], classes[:7]
    settings = {"split": take_items, "count": lambda batch: len(batch[2]), "effective_batch": 7}
    model = network().double()
    _, whole = after_step(model, batch, Items(0.5), **settings)
    for micro_batch in (1, 2, 4):
        outcome, cut = after_step(model, batch, Items(0.5), micro_batch=micro_batch, **settings)
        assert outcome.samples == 7
        assert_same_gradients(cut, whole, atol=1e-14)


@pytest.mark.parametrize("technique", ["plain", "checkpointing"])
def test_batch_norm_has_the_statistics_of_the_whole_batch_and_counts_once(technique):
    model = network(norm=nn.BatchNorm1d).double()
    batch = batch_of(13, torch.float64)
    _, whole = after_step(model, batch, Contrast(0.5))
    for micro_batch in (2, 5):
        settings = {"micro_batch": micro_batch, "technique": technique}
        outcome, cut = after_step(model, batch, Contrast(0.5), **settings)
        assert outcome.micro_batch == micro_batch
        assert_same_gradients(cut, whole, atol=1e-12)
        for name in ("one.2.running_mean", "one.2.running_var", "one.2.num_batches_tracked"):
            torch.testing.assert_close(cut[name], whole[name], rtol=0, atol=1e-12)


def test_where_parts_are_normalised_by_themselves_their_statistics_count_once():
    model = network(norm=nn.BatchNorm1d)
    _, found = after_step(model, batch_of(12), Contrast(), micro_batch=4, coupling="accept")
    assert int(found["one.2.num_batches_tracked"]) == 3
    _, frozen = after_step(model, batch_of(12), Contrast(), micro_batch=4, coupling="freeze")
    assert int(frozen["one.2.num_batches_tracked"]) == 0


class Wrong(Contrast):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def embed(self, model, part):
        embeddings, own = super().embed(model, part)
        return embeddings, own[:-1] if self.where == "rows" else own

    def loss(self, model, embeddings):
        return (
            embeddings["one"].sum(1) if self.where == "shape" else super().loss(model, embeddings)
        )


@pytest.mark.parametrize("micro_batch", [4, 13])
def test_what_is_no_loss_across_the_samples_is_refused(micro_batch):
    for where, said in (("rows", "there are as many rows"), ("shape", "give their mean")):
        # beartype has its say about the shape first
        with pytest.raises(Exception, match=f"{said}|type"):
            after_step(network(), batch_of(13), Wrong(where), micro_batch=micro_batch)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for losses, across in ((None, None), (lambda model, part: part, Contrast())):
        with pytest.raises(ValueError, match="give losses, or across in their place"):
            ExactStep(model, optimizer, losses, 4, across=across)


SHORTAGE = """
import resource, torch
from torch import nn
from reelfit.memory.limits import limit_host_memory
from reelfit.memory.record import host_memory
from reelfit.training.across import Across
from reelfit.training.step import ExactStep

class Wide(Across):
    def embed(self, model, part):
        wide = nn.functional.dropout(model(part[0])).repeat(1, 500_000).exp().tanh()
        return {"row": wide[:, :64]}, wide.mean(1)
    def loss(self, model, embeddings):
        return (embeddings["row"] @ embeddings["row"].T).square().mean()

phases = []

def run(micro_batch, limit_mib):
    torch.manual_seed(1)
    model = nn.Linear(4, 4)
    step = ExactStep(
        model, torch.optim.SGD(model.parameters(), lr=0.1), None, 16, across=Wide(),
        micro_batch=micro_batch, on_shortage=lambda shortage, _: phases.append(shortage.phase),
    )
    batch = torch.linspace(-1, 1, 64).reshape(16, 4)
    nn.Linear(2, 2)(torch.zeros(1, 2)).sum().backward()
    soft = resource.getrlimit(resource.RLIMIT_DATA)
    if limit_mib:
        assert limit_host_memory(limit_mib * 2**20 + 8 * 2**20 + host_memory().rss_bytes)
    try:
        outcome = step((batch,))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, soft)
    return outcome, [p.detach().clone() for p in model.parameters()]

short, weights = run(16, 150)
assert short.retries == len(phases) >= 2 and 1 < short.micro_batch < 16, short
_, straight = run(short.micro_batch, 0)
assert all(torch.equal(a, b) for a, b in zip(weights, straight))
print("exact")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_a_real_shortage_ends_like_a_step_at_the_smaller_micro_batch():
    told = subprocess.run(
        [sys.executable, "-c", SHORTAGE],
        env=child_environment({"PATH": ""}, threads=1),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() == "exact", told.stderr[-2000:]

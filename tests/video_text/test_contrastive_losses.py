"""Losses in blocks equal those of the whole matrix, which they never hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from own_process import printed_by
from reelfit.video_text.losses import info_nce, sigmoid_loss


def embeddings(samples: int, seed: int, dimensions: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(samples, dimensions, generator=generator).double(), dim=1)


def whole_info_nce(video, text, numbers, scale):
    scores, positive = scale * video @ text.T, numbers[:, None] == numbers[None]
    true = scores.masked_fill(~positive, -torch.inf)
    return sum((scores.logsumexp(d) - true.logsumexp(d)).mean() for d in (0, 1)) / 2


def whole_sigmoid(video, text, numbers, scale, bias):
    logits, positive = scale * video @ text.T + bias, numbers[:, None] == numbers[None]
    pairs = binary_cross_entropy_with_logits(logits, positive.double(), reduction="none")
    return pairs.sum(1).mean()


def value_and_gradients(loss, *given, **named):
    leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in given]
    found = loss(*leaves, **named)
    (found * 1.7).backward()
    return [found.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=14),
    st.integers(1, 16),
    st.floats(0.5, 100.0),
    st.integers(0, 10),
)
def test_blocks_of_any_size_equal_the_whole_matrix(numbers, block_rows, scale, seed):
    samples, same = len(numbers), torch.tensor(numbers)
    pair = embeddings(samples, seed), embeddings(samples, seed + 100)
    scalars = torch.tensor(scale).double(), torch.tensor(-7.0).double()
    for ours, whole, more in (
        (info_nce, whole_info_nce, scalars[:1]),
        (sigmoid_loss, whole_sigmoid, scalars),
    ):
        found = value_and_gradients(ours, *pair, same, *more, block_rows=block_rows)
        wanted = value_and_gradients(whole, *pair, same, *more)
        assert len(found) == len(wanted) == 3 + len(more)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_without_repeated_texts_it_is_the_cross_entropy_of_both_directions():
    video, text, scale = embeddings(9, 1), embeddings(9, 2), torch.tensor(20.0).double()
    true = torch.arange(9)
    scores = scale * video @ text.T
    wanted = (cross_entropy(scores, true) + cross_entropy(scores.T, true)) / 2
    torch.testing.assert_close(info_nce(video, text, true, scale, block_rows=4), wanted)


def test_no_positive_is_ever_pushed_away():
    """Of each item the gradient on a positive's score is not above zero, though it has several."""
    text = torch.eye(6).double()  # so that the gradient on a video is that on its scores
    video = embeddings(6, 3).requires_grad_()
    numbers = torch.tensor([0, 0, 0, 1, 1, 2])
    positive = numbers[:, None] == numbers[None]
    info_nce(video, text, numbers, torch.tensor(30.0).double(), block_rows=2).backward()
    assert video.grad[positive].max() <= 0
    assert video.grad[~positive].min() >= 0
    video.grad = None
    once = torch.arange(6)
    info_nce(video, text, once, torch.tensor(30.0).double(), block_rows=2).backward()
    assert video.grad[positive].max() > 0  # as a negative it would be


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_single_precision_is_near_and_nothing_overflows(scale):
    video = normalize(embeddings(40, 4))
    pair = video, normalize(video + 0.01 * embeddings(40, 5))
    numbers = torch.arange(40) // 2
    scalars = torch.tensor(scale).double(), torch.tensor(-10.0).double()
    for loss, more in ((info_nce, scalars[:1]), (sigmoid_loss, scalars)):
        wanted = value_and_gradients(loss, *pair, numbers, *more)
        given = [t.float() if t.is_floating_point() else t for t in (*pair, numbers, *more)]
        found = value_and_gradients(loss, *given, block_rows=16)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


def test_autocast_leaves_the_scores_in_single_precision():
    pair = embeddings(20, 6).float(), embeddings(20, 7).float()
    given = *pair, torch.arange(20), torch.tensor(50.0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = info_nce(*given)
    assert torch.equal(inside, info_nce(*given))


PEAK = """
import json, sys
import torch
from torch.nn.functional import normalize
from reelfit.memory.record import host_memory, peak_since_restart, restart_peak
from reelfit.video_text.losses import info_nce, sigmoid_loss

samples = int(sys.argv[1])
torch.manual_seed(0)

def peak_of(samples):
    video, text = (normalize(torch.randn(samples, 256)).requires_grad_() for _ in range(2))
    numbers = torch.arange(samples) // 2
    scale, bias = torch.tensor(20.0, requires_grad=True), torch.tensor(-10.0, requires_grad=True)
    loss = info_nce(video, text, numbers, scale) if sys.argv[2] == "info_nce" else (
        sigmoid_loss(video, text, numbers, scale, bias))
    restart_peak()
    held = host_memory().rss_bytes
    loss.backward()
    del loss
    return peak_since_restart() - held

first = peak_of(64)  # what libraries keep
print(json.dumps(peak_of(samples)))
"""


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid"])
def test_at_16384_items_the_peak_is_far_below_the_matrix(loss):
    """The matrix alone has 1 GiB; the gradients that come out have 32 MiB."""
    assert printed_by(PEAK, 16_384, loss) < 100 * 2**20

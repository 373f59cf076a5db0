"""The peak of a contrastive step stays flat as its batch grows; several processes act as one."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from own_process import printed_by

STEP = """
import json, sys
import torch
from reelfit.memory.record import host_memory
from reelfit.models import make_model
from reelfit.text_encoders import make_text_encoder
from reelfit.training.across import Across
from reelfit.training.step import ExactStep
from reelfit.video_text.network import VideoTextNetwork

DIMENSIONS = 32


class Pairs(Across):
    def embed(self, model, part):
        clips, tokens, numbers = part
        videos, _, _ = model.encode_videos(clips, range(len(clips)), len(clips))
        embeddings = {"video": videos, "text": model.encode_texts(tokens), "number": numbers}
        return embeddings, videos.new_zeros(len(clips))

    def loss(self, model, embeddings):
        if sys.argv[1] == "info_nce":
            return model.loss_across(embeddings["video"], embeddings["text"], embeddings["number"])
        correlation = embeddings["video"].T @ embeddings["text"]  # Barlow Twins: linear in samples
        return (correlation / len(embeddings["video"]) - torch.eye(DIMENSIONS)).square().sum()


class Handle:
    '''A batch whose samples are made where they are read, as from files.'''
    def __init__(self, samples):
        self.samples = samples

    def read(self, begin, end):
        generator = torch.Generator().manual_seed(begin)
        clips = torch.rand((end - begin, 1, 3, 4, 4), generator=generator)
        tokens = torch.randint(3, 259, (end - begin, 4), generator=generator)
        return clips, tokens, torch.arange(begin, end) // 2


def peak_of(samples, micro_batch=128):
    torch.manual_seed(0)
    made = make_text_encoder("text_transformer", {"width": 8, "layers": 1, "heads": 1, "length": 4})
    video = make_model("naive_cnn", {"channels": [8]}).build(num_outputs=8)
    model = VideoTextNetwork(video, made.build(made.tokenizer(["a"])), dimensions=DIMENSIONS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    step = ExactStep(
        model, optimizer, None, samples, across=Pairs(), micro_batch=micro_batch,
        split=lambda batch, begin, end: batch.read(begin, end), count=lambda batch: batch.samples,
    )
    held = host_memory().rss_bytes
    outcome = step(Handle(samples))
    assert outcome.samples == samples and outcome.grad_norm > 0
    return outcome.peak_bytes - held


torch.set_num_threads(1)
peak_of(1024)  # what libraries keep
print(json.dumps([peak_of(int(samples)) for samples in sys.argv[2:]]))
"""


@pytest.mark.parametrize(
    ("loss", "sizes"),
    [("info_nce", [64, 1024, 4096]), ("correlation", [64, 1024, 16_384, 65_536])],
)
def test_the_peak_is_flat_but_for_the_bytes_of_each_embedding(loss: str, sizes: list[int]) -> None:
    """A sample's two vectors of 32 numbers, and their gradients, are 512 bytes; the sums 16.

    Where the gradients begin, the loss holds another one of each for a moment. The scores of 4,096
    pairs would have 64 MiB, the activations of 65,536 some 400.
    """
    first, *more = printed_by(STEP, loss, *sizes)
    assert first < 24 * 2**20
    for samples, peak in zip(sizes[1:], more, strict=True):
        assert peak < first + 8 * 2**20 + samples * 640


RANK = """
import copy, os, sys
import torch
from torch import nn
from torch.nn import functional
from reelfit.training.across import Across, Gathered
from reelfit.training.step import ExactStep

rank, world, port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)


class Contrast(Across):
    def embed(self, model, part):
        one, other = (functional.normalize(model[n](part[n])) for n in (0, 1))
        return {"one": one, "other": other, "row": part[2]}, one[:, 0] * part[2]

    def loss(self, model, embeddings):
        scores = embeddings["one"] @ embeddings["other"].T * model[2].weight.exp().squeeze()
        true = embeddings["row"].argsort()
        assert torch.equal(true, torch.arange(len(scores)))
        return functional.cross_entropy(scores, true)


torch.manual_seed(1)
model = nn.ModuleList([nn.Linear(6, 5), nn.Linear(4, 5), nn.Linear(1, 1)]).double()
generator = torch.Generator().manual_seed(2)
batch = (
    torch.randn(12, 6, generator=generator).double(),
    torch.randn(12, 4, generator=generator).double(),
    torch.arange(12),
)


def after_step(across, batch):
    one = copy.deepcopy(model)
    optimizer = torch.optim.SGD(one.parameters(), lr=0.0)
    step = ExactStep(one, optimizer, None, len(batch[0]), across=across, micro_batch=4)
    return step(batch).loss, [p.grad for p in one.parameters() if p.grad is not None]


if world == 1:
    torch.save(after_step(Contrast(), batch)[1], f"{folder}/alone.pt")
    sys.exit()
torch.distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
)
own = slice(rank * 12 // world, (rank + 1) * 12 // world)
_, grads = after_step(Gathered(Contrast()), tuple(t[own] for t in batch))
for grad in grads:
    torch.distributed.all_reduce(grad)
    grad /= world
torch.save(grads, f"{folder}/rank{rank}.pt")
try:
    after_step(Gathered(Contrast()), tuple(t[: 5 + rank] for t in batch))
except ValueError as error:
    assert "processes have [5, 6] samples: give each as many" in str(error)
else:
    raise AssertionError("uneven ranks were not refused")
torch.distributed.destroy_process_group()
"""


def test_two_processes_have_the_gradient_of_one(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(world), str(port), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, world in ((0, 2), (1, 2), (0, 1))
    ]
    for process in started:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said[-2000:]
    alone, *ranks = (torch.load(tmp_path / f"{n}.pt") for n in ("alone", "rank0", "rank1"))
    assert len(alone) == 5
    for found in ranks:
        for one, other in zip(found, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    assert max(float(grad.abs().max()) for grad in alone) > 1e-2

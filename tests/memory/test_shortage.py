"""A real network under a real limit, in a process of its own."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from own_process import printed_by
from reelfit.files import read_json
from reelfit.memory.census import largest_kept, largest_tensors
from reelfit.memory.shortage import describe_shortage, write_shortage

PLACE = {"model": "naive_cnn", "fold": 1, "epoch": 0, "step": 3, "samples": 4, "micro_batch": 4}


def small_network() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 2))


def test_what_is_kept_between_passes_is_told_by_its_largest():
    model = small_network()
    optimizer = torch.optim.AdamW(model.parameters())
    assert largest_kept(model, optimizer) == ("parameter 0.weight", 512 * 64 * 4)
    clips = torch.zeros(1000, 64)
    assert largest_kept(model, optimizer, [clips]) == ("batch[0]", 1000 * 64 * 4)
    assert largest_kept(nn.ReLU(), optimizer) is None


def test_the_largest_are_named_by_what_they_are_and_counted_once():
    model = small_network()
    optimizer = torch.optim.AdamW(model.parameters())
    clips = torch.randn(8192, 64)
    loss = model(clips).sum()
    loss.backward()
    optimizer.step()
    kept = model(clips).sum()
    rows = largest_tensors(model, batch={"clips": clips, "same": clips[:3]}, most=10_000)
    by_name = {row["name"]: row for row in rows}
    assert by_name["parameter 0.weight"]["bytes"] == 512 * 64 * 4
    assert by_name["gradient of 0.weight"]["shape"] == [512, 64]
    assert by_name["exp_avg of 0.weight"]["bytes"] == 512 * 64 * 4
    assert by_name["batch['clips']"]["bytes"] == 8192 * 64 * 4
    assert "batch['same']" not in by_name
    assert rows[0]["bytes"] == 8192 * 512 * 4
    assert (rows[0]["made_by"], rows[0]["saved_for"]) == ("ReluBackward0", "AddmmBackward0")
    assert rows == sorted(rows, key=lambda row: -row["bytes"])
    assert kept.requires_grad


def test_looking_keeps_no_tensor_and_computes_none():
    model = small_network()
    before = len(largest_tensors(model, most=10_000))
    first, second = model[:2], model[2:]
    ran = []
    first.register_forward_hook(lambda *_: ran.append(1))
    hidden = torch.utils.checkpoint.checkpoint(
        first, torch.randn(4096, 64, requires_grad=True), use_reentrant=False
    )
    loss = second(hidden).sum()
    assert len(ran) == 1
    rows = largest_tensors(model, most=10_000)
    assert len(rows) > before
    assert len(ran) == 1
    del hidden, loss
    assert len(largest_tensors(model, most=10_000)) == before


def test_the_file_tells_what_failed_and_where(tmp_path: Path):
    model = small_network()
    batch = (torch.zeros(4, 64), torch.zeros(4, dtype=torch.int64))
    facts = describe_shortage(
        "can't allocate memory", model=model, batch=batch, place=PLACE, budget_bytes=2**30
    )
    write_shortage(tmp_path / "shortage.json", facts)
    read = read_json(tmp_path / "shortage.json")
    assert read["message"] == "can't allocate memory"
    assert read["place"] == PLACE
    assert read["batch"]["batch[1]"] == {"shape": [4], "dtype": "int64"}
    assert read["host"]["resident_bytes"] <= read["host"]["peak_bytes"]
    assert read["tensors_seen"] == "after the recovery"
    assert len(read["largest_tensors"]) <= 20
    if sys.platform.startswith("linux"):
        rss = read["allocator"]["Rss"]
        assert rss == pytest.approx(read["host"]["resident_bytes"], rel=0.1)


FAILING = """
import gc, json, resource, sys, weakref
import torch
from reelfit.memory.census import largest_tensors
from reelfit.memory.oom import is_out_of_memory
from reelfit.memory.record import host_memory
from reelfit.memory.shortage import describe_shortage
from reelfit.models import make_model

torch.set_num_threads(1)
model = make_model("naive_cnn", {}).build(num_outputs=2)
clips = torch.randn(8, 8, 3, 96, 96)
model(clips[:1]).sum().backward()
model.zero_grad(set_to_none=True)
kept = []
model.register_forward_hook(lambda _module, _inputs, output: kept.append(weakref.ref(output)))
limit = host_memory().data_bytes + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

def attempt():
    try:
        for _ in range(1000):
            losses = model(clips).sum()
            if len(sys.argv) > 2:
                ballast = [torch.empty(2**18) for _ in range(100_000)]
            losses.backward()
            gc.collect()
    except (RuntimeError, MemoryError) as error:
        assert is_out_of_memory(error), error
        return largest_tensors(model, batch=clips), str(error)

largest, said = attempt() or ([], "")
torch.ones(1, requires_grad=True).sum().backward()
alive = sum(reference() is not None for reference in kept)
facts = describe_shortage(
    said, model=model, batch=clips, place={}, budget_bytes=None, largest=largest
)
after = sum(row["bytes"] for row in largest_tensors(model, batch=clips, most=10_000))
own = sum(p.nbytes for p in model.parameters()) + clips.nbytes
print(json.dumps([facts, alive, after, own]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no other system has the limit")
@pytest.mark.parametrize("arguments", [(20,), (60,), (400, "after the forward pass")])
def test_looked_at_while_memory_is_short_it_raises_nothing_and_keeps_nothing(
    arguments: tuple[object, ...],
):
    facts, alive, after, own = printed_by(FAILING, *arguments)
    assert facts["message"]
    assert facts["tensors_seen"] == "at the failure"
    assert alive == 0
    assert after <= own + 2**20
    held = sum(row["bytes"] for row in facts["largest_tensors"])
    assert held > 2**20
    if len(arguments) > 1:
        assert len(facts["largest_tensors"]) == 20


WATCHED = """
import json, threading

import torch
from torch import nn

from reelfit.memory.census import largest_kept

network = nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)])
optimizer = torch.optim.AdamW(network.parameters())
ended, asked = threading.Event(), 0

def watch():
    global asked
    while not ended.is_set():
        assert largest_kept(network, optimizer) == ("parameter 0.weight", 64 * 64 * 4)
        asked += 1

watcher = threading.Thread(target=watch)
watcher.start()
for _ in range(2000):
    optimizer.zero_grad(set_to_none=True)
    network(torch.randn(8, 64)).sum().backward()
ended.set()
watcher.join()
print(json.dumps(asked))
"""


def test_what_is_kept_may_be_asked_from_another_thread_while_gradients_come_and_go() -> None:
    """With a look at gradients the process ended by a segmentation fault within a second."""
    assert printed_by(WATCHED) > 100

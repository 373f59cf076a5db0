"""Runs a step as often as it allocates, each time with another allocation failing.

Run with the library of failing_memory.c preloaded; prints what became of the steps as JSON.
"""

import copy
import ctypes
import json
import os
import signal
import sys
import traceback
from collections import Counter

import torch
from torch import nn

from reelfit.errors import OutOfMemoryError, UpdateError
from reelfit.models import make_model
from reelfit.training.optimizer import make_optimizer
from reelfit.training.step import ExactStep

memory = ctypes.CDLL(None)
memory.fail_at.argtypes = [ctypes.c_long]
memory.calls_so_far.restype = ctypes.c_long
name, options, technique = json.loads(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
built = make_model(name, options).build(num_outputs=2)
if name == "naive_cnn":  # buffers that a failed attempt changes
    built.frame[1] = nn.BatchNorm2d(8)
generator = torch.Generator().manual_seed(1)
batch = (
    torch.randn(6, 3, 3, 24, 24, generator=generator),
    torch.randint(0, 2, (6,), generator=generator),
)


def losses(model, part):
    return nn.functional.cross_entropy(model(part[0]), part[1], reduction="none")


def prepared(micro_batch=4, technique=technique):
    model = copy.deepcopy(built)
    optimizer = make_optimizer(model, learning_rate=1e-3, weight_decay=0.01)
    step = ExactStep(
        model,
        optimizer,
        losses,
        6,
        micro_batch=micro_batch,
        technique=technique,
        clip_grad_norm=1.0,
        coupling="accept",
    )
    torch.manual_seed(7)  # dropout
    return model, optimizer, step


def state(model, optimizer):
    moments = [value for of in optimizer.state.values() for value in of.values()]
    return [value.clone() for value in (*model.state_dict().values(), *moments)]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


wanted = {}


def planned(rung):
    """The state after a step that was cut so from its start."""
    if rung not in wanted:
        model, optimizer, step = prepared(rung.micro_batch, rung.technique)
        step(batch)
        wanted[rung] = state(model, optimizer)
    return wanted[rung]


model, optimizer, step = prepared()
step(batch)  # libraries take what they keep
model, optimizer, step = prepared()
memory.fail_at(0)
step(batch)
total = memory.calls_so_far()
ends = Counter()


def attempt(k):
    """How a step ends whose k-th allocation fails."""
    model, optimizer, step = prepared()
    before = state(model, optimizer)
    memory.fail_at(k)
    try:
        outcome = step(batch)
    except OutOfMemoryError:
        memory.fail_at(0)
        assert same(state(model, optimizer), before), f"{k}: changed by a step that was not done"
        return "clean"
    except UpdateError:
        return "reload"
    memory.fail_at(0)
    assert outcome.samples == 6
    assert same(state(model, optimizer), planned(step.rung)), f"{k}: another result"
    return "again" if outcome.retries else "at once"


SECONDS = 20
ENDS = ("clean", "reload", "again", "at once")
for k in range(1, total + 1):
    child = os.fork()  # native code may die of it, as a unit may; its parent must not
    if not child:
        signal.alarm(SECONDS)
        try:
            os._exit(ENDS.index(attempt(k)))
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ends[f"killed by {signal.Signals(os.WTERMSIG(status)).name}"] += 1
    else:
        code = os.WEXITSTATUS(status)
        ends[ENDS[code] if code < len(ENDS) else "wrong"] += 1
print(json.dumps({"allocations": total, **ends}))

"""Random steps under random hard limits: each ends exact, or with the clear error.

``python benchmarks/fuzz.py [CASES [SEED]]``; without arguments 500 cases, and the result is kept.
Each case runs in a process of its own, twice: under its limit, and planned at the rung that it
ended on, without a limit. The weights, moments and buffers of both have the same bits, but where
oneDNN, which falls back in silence when an allocation of its own fails, took another kernel: then
the gradients agree to 1e-5 of their norm, and the case is counted by itself.
"""

import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from reelfit.memory.allocator import child_environment

SECONDS = 120
ROUNDING = 1e-5
TECHNIQUES = ("plain", "checkpointing")


def draw(chance: random.Random) -> dict[str, Any]:
    """One case; its budget lies between what the last rung needs and what the first one does."""
    name, options = chance.choice(
        [
            ("naive_cnn", {"channels": [8, 16]}),
            ("naive_cnn", {"channels": [32, 64, 128]}),
            ("r2plus1d", {"width": 8, "blocks": [1, 1]}),
            ("r2plus1d", {"width": 16}),
        ]
    )
    batch = chance.choice([1, 3, 5, 8, 8, 13])
    return {
        "model": name,
        "options": options,
        "norm": chance.choice(["group", "group", "accept", "exact", "freeze"]),
        "clip": [chance.choice([1, 4, 8, 8]), 3, *[chance.choice([24, 64, 112])] * 2],
        "effective_batch": batch,
        "samples": [batch, chance.randint(1, batch)],
        "micro_batch": chance.choice([batch, batch, chance.randint(1, batch)]),
        "technique": chance.choice(["plain", "plain", "checkpointing"]),
        "optimizer": chance.choice(["AdamW", "SGD"]),
        "budget_place": round(chance.uniform(-0.1, 0.9), 3),
        "seed": chance.randrange(2**31),
    }


def prepare(case: dict[str, Any], rung: tuple[int, str]) -> Any:
    """Model, optimizer, step and batches of a case."""
    import torch
    from torch import nn

    from reelfit.models import make_model
    from reelfit.training.step import ExactStep

    torch.manual_seed(case["seed"])
    model = make_model(case["model"], case["options"]).build(num_outputs=2)
    if case["norm"] != "group":
        swap_one_norm(model)
    kind = getattr(torch.optim, case["optimizer"])
    optimizer = kind(model.parameters(), lr=1e-2)
    batches = [
        (torch.randn(samples, *case["clip"]), torch.randint(0, 2, (samples,)))
        for samples in case["samples"]
    ]

    def losses(network: nn.Module, part: Any) -> Any:
        return nn.functional.cross_entropy(network(part[0]), part[1], reduction="none")

    step = ExactStep(
        model,
        optimizer,
        losses,
        case["effective_batch"],
        micro_batch=rung[0],
        technique=rung[1],
        clip_grad_norm=1.0,
        coupling=None if case["norm"] == "group" else case["norm"],
    )
    return model, optimizer, step, batches


def swap_one_norm(model: Any) -> None:
    """The first group norm becomes a batch norm."""
    from torch import nn

    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.GroupNorm):
                convolution = next(m for m in parent.modules() if hasattr(m, "kernel_size"))
                deep = len(convolution.kernel_size) == 3
                kind = nn.BatchNorm3d if deep else nn.BatchNorm2d
                setattr(parent, name, kind(child.num_channels))
                return


def bits_of(model: Any, optimizer: Any) -> str:
    """A digest of weights, buffers and the optimizer's state."""
    import torch

    told = hashlib.sha256()
    moments = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
    for tensor in (*model.state_dict().values(), *moments):
        told.update(tensor.detach().reshape(-1).view(torch.uint8).numpy().data)
    return told.hexdigest()


def keep_gradients(model: Any, file: Path) -> None:
    """The gradients that a step left, for a look at how far two of them are apart."""
    import torch

    torch.save([p.grad for p in model.parameters() if p.grad is not None], file)


def deviation(one: Path, other: Path) -> float:
    """The difference of two steps' gradients, relative to the norm of the second's."""
    import torch

    pairs = list(zip(torch.load(one), torch.load(other), strict=True))
    apart = sum(float((a - b).double().square().sum()) for a, b in pairs)
    return float((apart / sum(float(b.double().square().sum()) for _, b in pairs)) ** 0.5)


def needed(case: dict[str, Any], rung: tuple[int, str]) -> dict[str, Any]:
    """What the case takes on a rung beside what the process holds before it, without a limit.

    The limit counts what is reserved without being touched (a thread's stack), and does not count
    the pages of libraries that are read for the first time.
    """
    from reelfit.memory.record import host_memory

    _, _, step, batches = prepare(case, rung)
    before, touched = host_memory(), anonymous_bytes()
    peak = max(step(batch).peak_bytes for batch in batches)
    after, touched = host_memory(), anonymous_bytes() - touched
    code = after.rss_bytes - before.rss_bytes - touched
    untouched = after.data_bytes - before.data_bytes - touched
    return {"bytes": peak - before.rss_bytes - code + max(untouched, 0)}


def anonymous_bytes() -> int:
    """Resident pages that belong to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def under_limit(case: dict[str, Any]) -> dict[str, Any]:
    """How each step ends under the limit; the weights' bits after each."""
    import torch

    from reelfit.errors import OutOfMemoryError, UpdateError
    from reelfit.memory.limits import limit_host_memory
    from reelfit.memory.record import host_memory

    model, optimizer, step, batches = prepare(case, (case["micro_batch"], case["technique"]))
    limit_host_memory(host_memory().rss_bytes + case["budget_bytes"])
    ends: list[dict[str, Any]] = []
    shortages: list[Any] = []
    step.on_shortage = lambda shortage, _batch: shortages.append(shortage)
    for batch in batches:
        before = bits_of(model, optimizer)
        state = torch.get_rng_state()
        try:
            outcome = step(batch)
        except OutOfMemoryError as error:
            changed = bits_of(model, optimizer) != before
            ends.append(
                {
                    "end": "clear error",
                    "changed": changed,
                    "said": str(error)[:60],
                    "rung": [step.rung.micro_batch, step.rung.technique],
                    "retries": len(shortages) - 1,
                }
            )
            break
        except UpdateError:
            ends.append({"end": "to be loaded again"})
            break
        ends.append(
            {
                "end": "exact",
                "samples": outcome.samples,
                "rung": [step.rung.micro_batch, step.rung.technique],
                "retries": outcome.retries,
                "bits": bits_of(model, optimizer),
                "generator": hashlib.sha256(state.numpy().data).hexdigest(),
            }
        )
        keep_gradients(model, Path(case["folder"], f"limited{len(ends) - 1}"))
    return {"ends": ends}


def planned(case: dict[str, Any], rungs: list[list[Any]]) -> dict[str, Any]:
    """The bits after each step, cut from its start as the limited one was cut in the end."""
    from reelfit.memory.rungs import Rung

    model, optimizer, step, batches = prepare(case, (rungs[0][0], rungs[0][1]))
    found = []
    for batch, rung in zip(batches, rungs, strict=False):
        step.rung = Rung(*rung)
        step(batch)
        keep_gradients(model, Path(case["folder"], f"planned{len(found)}"))
        found.append(bits_of(model, optimizer))
    return {"bits": found}


def in_child(work: Any, *arguments: Any) -> dict[str, Any]:
    """What ``work`` returns, from a fork of this process, or the signal that ended it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        try:
            os.write(write, json.dumps(work(*arguments)).encode())
            os._exit(0)
        except BaseException as error:
            os.write(write, json.dumps({"wrong": f"{type(error).__name__}: {error}"}).encode())
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"wrong": f"killed by {signal.Signals(os.WTERMSIG(status)).name}"}
    return json.loads(text)


def attempts(case: dict[str, Any]) -> dict[str, Any]:
    """What a training unit makes of a case: each process that crashed or recovered has a successor.

    After a native crash it begins a rung lower, three times at the most; after a recovery, or when
    no rung was low enough, it begins with the rung that was tried last.
    """
    from reelfit.memory.rungs import Rung, rung_below

    deaths = recoveries = 0
    while True:
        found = in_child(under_limit, case) | {"deaths": deaths, "recoveries": recoveries}
        if found.get("wrong", "").startswith("killed by SIG"):
            deaths += 1
            below = rung_below(Rung(case["micro_batch"], case["technique"]), TECHNIQUES)
            if deaths > 3 or below is None:
                return found | {"ends": [{"end": "clear error", "said": found.pop("wrong")}]}
            case |= {"micro_batch": below.micro_batch, "technique": below.technique}
            continue
        recovered = [end["rung"] for end in found.get("ends", []) if end.get("retries", 0) > 0]
        if not recovered:
            return found
        recoveries += 1
        case |= {"micro_batch": recovered[0][0], "technique": recovered[0][1]}


def judge(case: dict[str, Any]) -> tuple[str, str]:
    """How a case ended, and what was wrong with it."""
    most = in_child(needed, case, (case["micro_batch"], case["technique"]))
    least = in_child(needed, case, (1, TECHNIQUES[-1]))
    if "wrong" in most | least:
        return "without a limit: " + (most | least)["wrong"], json.dumps(case)
    between = case["budget_place"] * (most["bytes"] - least["bytes"])
    case["budget_bytes"] = max(int(least["bytes"] + between), 1)
    found = attempts(case)
    if "wrong" in found:
        return found["wrong"].split(":")[0], json.dumps([case, found])
    ends = found["ends"]
    exact = [end for end in ends if end["end"] == "exact"]
    kernel = ""
    if exact:
        wanted = in_child(planned, case, [end["rung"] for end in exact])
        if "wrong" in wanted:
            return "planned: " + wanted["wrong"], json.dumps(case)
        first = next((n for n, end in enumerate(exact) if end["bits"] != wanted["bits"][n]), None)
        if first is not None:  # what follows starts from other weights, and says nothing
            folder = Path(case["folder"])
            apart = deviation(folder / f"limited{first}", folder / f"planned{first}")
            if not apart <= ROUNDING:
                return "other gradients", json.dumps([case, ends, wanted, apart])
            kernel = ", by another kernel of oneDNN"
    if [end["samples"] for end in exact] != case["samples"][: len(exact)]:
        return "samples lost", json.dumps([case, ends])
    if any(end.get("changed") for end in ends):
        return "changed by a step that was not done", json.dumps([case, ends])
    how = ends[-1]["end"] + kernel
    if found["recoveries"]:
        how += ", recovered"
    return how + (", after a crash of native code" if found["deaths"] else ""), ""


def main() -> None:
    """Runs the cases and prints what became of them."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20261124
    import torch  # once, here: every case is a fork

    import reelfit.training.step  # noqa: F401

    torch.set_num_threads(1)
    chance, began = random.Random(seed), time.monotonic()
    ends: Counter[str] = Counter()
    wrong = []
    for number in range(cases):
        with tempfile.TemporaryDirectory() as folder:
            end, what = judge(draw(chance) | {"folder": folder})
        ends[end] += 1
        if what:
            wrong.append(what)
            print(number, end, what, file=sys.stderr, flush=True)
    figures = {
        "cases": cases,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "ends": dict(sorted(ends.items())),
        "wrong": wrong,
    }
    if len(sys.argv) > 1:
        print(json.dumps(figures))
    else:
        from measured import write_result

        write_result("fuzz", figures)


if __name__ == "__main__":
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # the C library reads it when it is loaded
        told = child_environment(os.environ, threads=1)
        os.execve(sys.executable, [sys.executable, *sys.argv], told)
    main()

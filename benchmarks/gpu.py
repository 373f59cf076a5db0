"""All checks of the project that need a GPU, in one table: ``python benchmarks/gpu.py [CHECK...]``.

Each check runs in a process of its own, so that one which fails leaves the others their card. No
network, one card, under 8 minutes. Without a GPU it says so and exits with 0.
"""

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from measured import write_result
from torch import nn

from reelfit import retrieval_metrics
from reelfit.memory.allocator import GPU_ALLOCATOR, child_environment
from reelfit.memory.limits import limit_gpu_memory
from reelfit.memory.oom import is_out_of_memory
from reelfit.memory.plan import make_plan
from reelfit.memory.rungs import Rung
from reelfit.models import make_model
from reelfit.models.model import Network
from reelfit.tasks import TASKS
from reelfit.training.labelled import Labelled
from reelfit.training.optimizer import make_optimizer
from reelfit.training.rehearsal import Rehearsal
from reelfit.training.step import ExactStep

MIB, GIB = 2**20, 2**30
SECONDS = {"prediction": 140, "compile": 100, "retrieval": 90}
"""What a check may take; the others half a minute, so that all end within 8."""
OTHERS_SECONDS = 30
NETWORKS: dict[str, dict[str, Any]] = {
    "naive_cnn": {"dropout": 0.0},
    "r2plus1d": {"width": 32, "blocks": [2, 2, 2], "dropout": 0.0},
}
Row = dict[str, Any]


def built(name: str) -> nn.Module:
    """One of our networks, where torch makes it."""
    model = make_model(name, NETWORKS[name])
    assert isinstance(model, Network)
    return model.build(num_outputs=2)


def build(name: str) -> nn.Module:
    """One of our networks, on the GPU, with the same weights every time."""
    torch.manual_seed(0)
    return built(name).cuda().train()


def losses(model: nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """One per sample, from bytes on the CPU."""
    clips = part[0].cuda(non_blocking=True).float().div_(127.5).sub_(1.0)
    return nn.functional.cross_entropy(model(clips), part[1].cuda(), reduction="none")


def batch_of(samples: int, frames: int = 8, size: int = 112) -> tuple[torch.Tensor, torch.Tensor]:
    """Random clips as bytes, and their classes."""
    drawn = torch.Generator().manual_seed(1)
    shape = (samples, frames, 3, size, size)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=drawn)
    return clips, torch.arange(samples) % 2


def seconds_of(work: Callable[[], object], *, rounds: int = 7) -> float:
    """The median, after two rounds that warm up."""
    found = []
    for _ in range(rounds + 2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return median(found[2:])


def limit_obeyed() -> Row:
    """Under a limit of 1 GiB, allocations end in the error that is recognised, below the limit."""
    limit_gpu_memory(GIB)
    blocks: list[torch.Tensor] = []
    recognised = False
    try:
        while len(blocks) < 1000:
            blocks.append(torch.empty(16 * MIB, dtype=torch.uint8, device="cuda"))
    except RuntimeError as error:
        recognised = is_out_of_memory(error)
    reserved = torch.cuda.max_memory_reserved()
    return {
        "reserved_mib": reserved / MIB,
        "limit_mib": 1024,
        "recognised": recognised,
        "held": recognised and 0.9 * GIB < reserved <= GIB,
    }


def predicted_and_measured() -> Row:
    """The plan's peak beside what torch's allocator gave out, at three sizes; within 5 %."""
    rows = []
    for name in NETWORKS:
        for size in (64, 112, 160):
            rehearsal = Rehearsal(
                build=lambda name=name: built(name),  # type: ignore[misc]
                objective=Labelled(TASKS["classify"](2, None)),  # type: ignore[call-arg]
                frames=8,
                size=(size, size),
                device=torch.device("cuda"),
                precision="float32",
            )
            plan = make_plan(rehearsal.profile(), budget_bytes=GIB, effective_batch=48)
            torch.cuda.empty_cache()
            network = build(name)
            step = ExactStep(
                network,
                make_optimizer(network, learning_rate=1e-3, weight_decay=0.01),
                losses,
                48,
                micro_batch=plan.micro_batch,
                technique=plan.technique,
            )
            peak = max(step(batch_of(samples, size=size)).peak_bytes for samples in (48, 48, 47))
            rows.append(
                {
                    "model": name,
                    "size": size,
                    "micro_batch": plan.micro_batch,
                    "technique": plan.technique,
                    "predicted_mib": round(plan.predicted_peak_bytes / MIB, 1),
                    "measured_mib": round(peak / MIB, 1),
                    "difference_percent": round(100 * (plan.predicted_peak_bytes / peak - 1), 1),
                }
            )
            del network, step
    worst = max(abs(row["difference_percent"]) for row in rows)
    return {"worst_difference_percent": worst, "held": worst <= 5, "rows": rows}


def recovery_exact() -> Row:
    """A step that ran out of memory equals, bit for bit, one that was planned where it ended.

    Both run in this process; TF32 is off, whose rounding would hide an error of the gradients.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    whole = build("r2plus1d")
    losses(whole, batch_of(24)).mean().backward()
    needed = torch.cuda.max_memory_allocated()
    limit_gpu_memory(int(0.4 * needed) + 64 * MIB)
    reference = [p.grad.clone() for p in whole.parameters() if p.grad is not None]
    del whole
    torch.cuda.empty_cache()

    def step_of(rung: Rung | None) -> tuple[nn.Module, Any, Rung]:
        network = build("r2plus1d")
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        step = ExactStep(network, optimizer, losses, 24)
        step.rung = rung or step.rung
        return network, step(batch_of(24)), step.rung

    recovered, outcome, rung = step_of(None)
    planned, _, _ = step_of(rung)
    pairs = zip(recovered.parameters(), planned.parameters(), strict=True)
    same = all(torch.equal(one, other) for one, other in pairs)
    gradients = [p.grad for p in recovered.parameters() if p.grad is not None]
    apart = sum(float((a - b).square().sum()) for a, b in zip(gradients, reference, strict=True))
    error = (apart / sum(float(b.square().sum()) for b in reference)) ** 0.5
    return {
        "retries": outcome.retries,
        "rung": [rung.micro_batch, rung.technique],
        "same_bits": same,
        "gradient_error": error,
        "held": outcome.retries > 0 and same and error < 1e-4 and outcome.samples == 24,
    }


def told_its_memory() -> Row:
    """A step that is told what it may hold is planned, stays within it, and loses no sample."""
    network = build("r2plus1d")
    step = ExactStep(network, torch.optim.SGD(network.parameters(), lr=0.1), losses, 64, "2GiB")
    outcome = step(batch_of(64))
    reserved = torch.cuda.max_memory_reserved()
    return {
        "micro_batch": outcome.micro_batch,
        "retries": outcome.retries,
        "reserved_mib": round(reserved / MIB, 1),
        "held": outcome.samples == 64 and outcome.retries == 0 and reserved <= 2 * GIB,
    }


def techniques() -> Row:
    """What each way to keep activations costs and saves: each peak is below that of keeping all."""
    rows = {}
    for technique in ("plain", "checkpointing", "offload"):
        network = build("r2plus1d")
        optimizer = make_optimizer(network, learning_rate=1e-3, weight_decay=0.01)
        step = ExactStep(network, optimizer, losses, 16, technique=technique)
        batch = batch_of(16)
        seconds = seconds_of(lambda step=step, batch=batch: step(batch))  # type: ignore[misc]
        rows[technique] = {
            "seconds": round(seconds, 4),
            "peak_mib": round(step(batch).peak_bytes / MIB, 1),
        }
        del network, optimizer, step
        torch.cuda.empty_cache()
    peaks = [row["peak_mib"] for row in rows.values()]
    return {**rows, "held": peaks[1] < peaks[0] and peaks[2] < peaks[0]}


def compiled() -> Row:
    """The factor of ``torch.compile`` on a step, and how far its losses are off."""
    network = build("r2plus1d")
    batch = batch_of(16)

    def step(model: nn.Module) -> torch.Tensor:
        loss = losses(model, batch).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    eager = seconds_of(lambda: step(network))
    faster = torch.compile(copy.deepcopy(network))
    error = abs(float(step(faster)) - float(step(network)))
    return {
        "eager_seconds": round(eager, 4),
        "compiled_seconds": round(seconds_of(lambda: step(faster)), 4),
        "loss_difference": error,
        "held": error < 1e-3,
    }


def tf32() -> Row:
    """Time and error of a product with and without TF32."""
    one, other = torch.randn(2, 4096, 4096, device="cuda")
    exact = one.double() @ other.double()
    found = {}
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        error = float((one @ other - exact).norm() / exact.norm())
        found[precision] = {"seconds": seconds_of(lambda: one @ other), "relative_error": error}
    return {**found, "held": found["highest"]["relative_error"] < 1e-5}


def pinned() -> Row:
    """Bytes a second from pageable and from pinned memory."""
    source = torch.empty(256 * MIB, dtype=torch.uint8).random_()
    there = torch.empty_like(source, device="cuda")
    fixed = source.pin_memory()
    pageable = seconds_of(lambda: there.copy_(source))
    fast = seconds_of(lambda: there.copy_(fixed, non_blocking=True))
    return {
        "pageable_gib_per_s": round(0.25 / pageable, 1),
        "pinned_gib_per_s": round(0.25 / fast, 1),
        "held": bool(torch.equal(there.cpu(), source)),
    }


def segments() -> Row:
    """What the allocator holds beyond what it gave out, after micro-batches of many sizes."""
    network = build("r2plus1d")
    highest = 0.0
    for samples in (1, 9, 2, 13, 3, 16, 5, 11, 7, 16):
        losses(network, batch_of(samples)).mean().backward()
        network.zero_grad()
        highest = max(highest, torch.cuda.memory_reserved())
    return {
        "reserved_mib": round(highest / MIB, 1),
        "allocated_at_most_mib": round(torch.cuda.max_memory_allocated() / MIB, 1),
        "allocator": os.environ.get(GPU_ALLOCATOR, ""),
        "held": highest < 2 * torch.cuda.max_memory_allocated(),
    }


def retrieval() -> Row:
    """Ranks of 10^6 videos and 10^5 texts: the card's rate of products, and one memory for all."""
    rows = {}
    generator = torch.Generator("cuda").manual_seed(0)
    one, other = (torch.randn(8192, 8192, device="cuda").bfloat16() for _ in range(2))
    rate = 2 * 8192**3 / seconds_of(lambda: one @ other)
    del one, other
    for videos, texts in ((250_000, 25_000), (1_000_000, 100_000)):
        text = torch.randn(texts, 512, generator=generator, device="cuda")
        targets = torch.arange(videos, device="cuda") % texts
        video = torch.empty(videos, 512, dtype=torch.bfloat16, device="cuda")
        for begin in range(0, videos, texts):
            part = video[begin : begin + texts]
            part.copy_(0.3 * text[: len(part)]).add_(torch.randn_like(part))
        text = text.bfloat16()
        retrieval_metrics(video[:20_000], text[:5_000], targets[:20_000] % 5_000, memory="4GiB")
        torch.cuda.reset_peak_memory_stats()
        base = torch.cuda.memory_allocated()
        torch.cuda.synchronize()
        began = time.perf_counter()
        found = retrieval_metrics(video, text, targets, memory="4GiB")
        seconds = time.perf_counter() - began
        rows[f"{videos} x {texts}"] = {
            "seconds": round(seconds, 3),
            "share_of_product_rate": round(2.0 * videos * texts * 512 / seconds / rate, 3),
            "peak_over_features_mib": round((torch.cuda.max_memory_allocated() - base) / MIB, 1),
            "mrr": found["video_to_text"]["mrr"],
        }
    last = list(rows.values())[-1]
    kept = last["share_of_product_rate"] >= 0.6 and last["peak_over_features_mib"] <= 4096
    return {"product_tflop_per_s": round(rate / 1e12, 1), "held": kept, **rows}


CHECKS: dict[str, Callable[[], Row]] = {
    "limit": limit_obeyed,
    "prediction": predicted_and_measured,
    "recovery": recovery_exact,
    "told its memory": told_its_memory,
    "techniques": techniques,
    "compile": compiled,
    "tf32": tf32,
    "pinned": pinned,
    "retrieval": retrieval,
    "segments": segments,
    "segments, not expandable": segments,
}


def in_child(name: str) -> Row:
    """What a check found, or how it failed."""
    environment = child_environment(os.environ, threads=os.cpu_count() or 1)
    if name.endswith("not expandable"):
        environment[GPU_ALLOCATOR] = "expandable_segments:False"
    environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # products with the same bits each time
    began, limit = time.monotonic(), SECONDS.get(name, OTHERS_SECONDS)
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--child", name],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        found = json.loads(lines[-1]) if lines else {"error": done.stderr.strip()[-600:]}
    except subprocess.TimeoutExpired:
        found = {"error": f"not done after {limit} s"}
    return {"held": False, **found, "wall_seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    """The table, and a dated result where all checks ran."""
    if not torch.cuda.is_available():
        print("no GPU here: nothing was checked")
        return 0
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHECKS[sys.argv[2]]()))
        return 0
    wanted = sys.argv[1:] or list(CHECKS)
    rows = {}
    for name in wanted:
        rows[name] = in_child(name)
        verdict = "held" if rows[name]["held"] else "NOT HELD"
        print(f"{name:<26} {verdict:<9} {rows[name]['wall_seconds']:>6} s", flush=True)
    if wanted == list(CHECKS):
        facts = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        write_result("gpu", {**facts, "checks": rows})
    else:
        print(json.dumps(rows, indent=1))
    return 0 if all(row["held"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

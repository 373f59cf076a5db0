"""Predicted against measured: the memory of a planned training step, each in a fresh process."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from measured import write_result

MIB = 2**20
FRAMES = 8
SIZES = (64, 112, 160)
EFFECTIVE_BATCH = 24
BUDGET_MIB = 640
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def rehearsal(name: str, size: int) -> Any:
    """The same network, task and imports in the process that predicts and in the one that runs."""
    import torch

    from reelfit.models import MODELS
    from reelfit.tasks import TASKS
    from reelfit.training.labelled import Labelled
    from reelfit.training.rehearsal import Rehearsal

    torch.set_num_threads(2)
    model = MODELS[name]()
    return Rehearsal(
        build=lambda: model.build(num_outputs=2),  # type: ignore[attr-defined]
        objective=Labelled(TASKS["classify"](2, None)),  # type: ignore[call-arg]
        frames=FRAMES,
        size=(size, size),
        device=torch.device("cpu"),
        precision="float32",
    )


def predict(name: str, size: int) -> dict[str, Any]:
    from reelfit.memory.plan import make_plan

    began = time.perf_counter()
    profile = rehearsal(name, size).profile()
    seconds = time.perf_counter() - began
    plan = make_plan(profile, budget_bytes=BUDGET_MIB * MIB, effective_batch=EFFECTIVE_BATCH)
    return asdict(plan) | {"rehearsal_seconds": seconds}


def work(name: str, size: int, micro_batch: int, technique: str) -> dict[str, Any]:
    """Three real steps, the last one ragged, as the end of an epoch has it."""
    import torch

    from reelfit.memory.record import host_memory
    from reelfit.memory.rungs import Rung
    from reelfit.training.optimizer import make_optimizer
    from reelfit.training.step import ExactStep

    part = rehearsal(name, size)
    base = host_memory()
    data = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            data[0] = max(data[0], host_memory().data_bytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    network = part.build().train()
    optimizer = make_optimizer(network, learning_rate=1e-3, weight_decay=0.01)
    step = ExactStep(network, optimizer, part._losses, effective_batch=EFFECTIVE_BATCH)
    step.rung = Rung(micro_batch, technique)
    for samples in (EFFECTIVE_BATCH, EFFECTIVE_BATCH, EFFECTIVE_BATCH - 1):
        step(part._make_batch(samples))
    done.set()
    watcher.join()
    return {
        "resident_bytes": host_memory().peak_bytes,
        "charged_bytes": base.rss_bytes + data[0] - base.data_bytes,
        "torch": torch.__version__,
    }


def apart(*order: str) -> dict[str, Any]:
    """One part in a process of its own, started as Reelfit starts its children."""
    said = subprocess.run(
        [sys.executable, __file__, *order],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ALLOCATOR},
    ).stdout
    return dict(json.loads(said.splitlines()[-1]))


def row(name: str, size: int) -> dict[str, Any]:
    plan = apart("predict", name, str(size))
    found = apart("work", name, str(size), str(plan["micro_batch"]), plan["technique"])

    def compare(kind: str, predicted: int, measured: int) -> dict[str, float]:
        return {
            f"{kind}_predicted_mib": round(predicted / MIB, 1),
            f"{kind}_measured_mib": round(measured / MIB, 1),
            f"{kind}_difference_percent": round(100 * (predicted / measured - 1), 1),
        }

    return {
        "model": name,
        "size": size,
        "micro_batch": plan["micro_batch"],
        "technique": plan["technique"],
        **compare("resident", plan["predicted_resident_bytes"], found["resident_bytes"]),
        **compare("data_segment", plan["predicted_peak_bytes"], found["charged_bytes"]),
        "rehearsal_seconds": round(plan["rehearsal_seconds"], 1),
    }


def main() -> None:
    rows = []
    for name in ("naive_cnn", "r2plus1d"):
        for size in SIZES:
            rows.append(row(name, size))
            print(rows[-1], flush=True)
    write_result(
        "prediction",
        {
            "frames": FRAMES,
            "effective_batch": EFFECTIVE_BATCH,
            "budget_mib": BUDGET_MIB,
            "worst_difference_percent": max(
                abs(found[f"{kind}_difference_percent"])
                for found in rows
                for kind in ("resident", "data_segment")
            ),
            "rows": rows,
        },
    )


if len(sys.argv) == 1:
    main()
else:
    part, model, *rest = sys.argv[1:]
    found = (
        predict(model, int(rest[0]))
        if part == "predict"
        else work(model, int(rest[0]), int(rest[1]), rest[2])
    )
    print(json.dumps(found))

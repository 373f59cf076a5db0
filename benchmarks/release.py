"""What the usual rituals that 'release' memory cost and free, in a training loop of our networks.

Each network and ritual runs in a process of its own, under the environment that units get. Before
each ritual stand ten training steps; what it frees is the difference in resident memory. Times are
of the processor, on one thread: others work on this machine.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from measured import write_result

from reelfit.launch.local import child_environment

MODELS = ("naive_cnn", "r2plus1d")
STEPS, ROUNDS, WARM_UP = 10, 6, 2


def rituals() -> dict[str, Callable[[], object]]:
    """By name; torch is loaded here, in the child."""
    import torch

    from reelfit.memory.release import collect_garbage, give_back_free_blocks

    return {
        "nothing": lambda: None,
        "gc.collect() x3": collect_garbage,
        "gc.collect() x3 after gc.freeze()": collect_garbage,
        "torch.cuda.empty_cache()": torch.cuda.empty_cache,
        "malloc_trim(0)": give_back_free_blocks,
    }


def measure(model_name: str, ritual_name: str) -> dict[str, float]:
    """Milliseconds and MiB of one ritual, and what the first step after it takes more."""
    import torch

    from reelfit.memory.record import host_memory
    from reelfit.models import make_model

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = make_model(model_name, {}).build(num_outputs=2)
    optimizer = torch.optim.AdamW(model.parameters())
    clips, targets = torch.randn(4, 8, 3, 64, 64), torch.randint(0, 2, (4,))
    ritual = rituals()[ritual_name]

    def step() -> float:
        began = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(clips), targets).backward()
        optimizer.step()
        return time.process_time() - began

    if "freeze" in ritual_name:
        step()
        gc.freeze()
    took, freed, slower = [], [], []
    for number in range(WARM_UP + ROUNDS):
        steps = [step() for _ in range(STEPS)]
        before = host_memory().rss_bytes
        began = time.process_time()
        ritual()
        spent = time.process_time() - began
        lost = before - host_memory().rss_bytes
        if number >= WARM_UP:
            took.append(spent)
            freed.append(lost / 2**20)
            slower.append(steps[0] - median(steps[1:]))
    return {
        "cpu_ms": round(1000 * median(took), 2),
        "mib_freed": round(median(freed), 2),
        "next_step_slower_cpu_ms": round(1000 * median(slower), 1),
    }


def in_own_process(model_name: str, ritual_name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, model_name, ritual_name],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(os.environ, threads=1),
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{model_name:<10}{ritual_name:<36}", *found.values(), flush=True)
    return found


if len(sys.argv) > 1:
    print(json.dumps(measure(*sys.argv[1:])))
else:
    figures = {name: {r: in_own_process(name, r) for r in rituals()} for name in MODELS}
    write_result("release", {"device": "cpu", "rounds": ROUNDS, "models": figures})

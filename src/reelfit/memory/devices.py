"""What torch finds on this machine: ``python -m reelfit.memory.devices``, for those without torch.

It answers with one JSON object.
"""

import json
import os
import subprocess  # nosec
import sys
from typing import Any

from reelfit.memory.allocator import child_environment
from reelfit.memory.limits import hard_limit_holds


def devices() -> dict[str, Any]:
    """What torch is, each GPU with its memory, and whether a hard limit holds."""
    import torch

    gpus = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        gpus.append({"name": name, "free_bytes": free, "total_bytes": total})
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "hard_limit": hard_limit_holds(),
    }


ANSWER_SECONDS = 120
"""torch is read from the disk on its first import, which a slow one may take a minute for."""


def ask_devices(*, threads: int) -> dict[str, Any]:
    """The same from a process like the units' own; ``error`` says why there is no answer."""
    try:
        told = subprocess.run(
            [sys.executable, "-m", "reelfit.memory.devices"],
            capture_output=True,
            text=True,
            check=True,
            timeout=ANSWER_SECONDS,
            env=child_environment(os.environ, threads=threads),
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it did not answer within {ANSWER_SECONDS} s"}
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"it ended with status {error.returncode}"}
    return dict(json.loads(told.stdout))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(devices()))

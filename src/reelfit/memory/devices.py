"""What torch finds on this machine: ``python -m reelfit.memory.devices``, for those without torch.

It answers with one JSON object.
"""

import json
import sys
from typing import Any

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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(devices()))

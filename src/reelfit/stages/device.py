"""Where a unit computes, held to its share of the memory there."""

from typing import TYPE_CHECKING

from reelfit.memory.limits import limit_gpu_memory, limit_host_memory
from reelfit.stages.stage import Context
from reelfit.study import Study

if TYPE_CHECKING:
    import torch


def device_within_limits(study: Study, context: Context) -> "torch.device":
    """The GPU, else the CPU; call it after the imports, whose memory is not the model's."""
    import torch

    if context.memory.budget_bytes is not None:
        limit_host_memory(context.memory.budget_bytes)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if isinstance(study.memory.gpu, int):
        limit_gpu_memory(study.memory.gpu)
    return torch.device("cuda")

"""AdamW with its state made beforehand, and a learning rate that is a function of the step."""

import math

import torch
from torch import nn


def make_optimizer(
    model: nn.Module, *, learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over every trained parameter; decay for matrices and kernels, not for vectors.

    Its state is allocated here: an error in the middle of a first step would leave half of it.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    allocate_state(optimizer)
    return optimizer


def allocate_state(optimizer: torch.optim.Optimizer) -> None:
    """Makes the state of Adam and AdamW before the first step, where it has none yet.

    Other optimizers make theirs in their first step; memory that runs out there is an UpdateError.
    """
    if not isinstance(optimizer, torch.optim.Adam):  # AdamW is one
        return
    for group in optimizer.param_groups:
        on_device = group["capturable"] or group["fused"]
        names = ["exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
        for parameter in group["params"]:
            if not parameter.requires_grad or optimizer.state[parameter]:
                continue
            device = parameter.device if on_device else None
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=device),
                **{name: torch.zeros_like(parameter) for name in names},
            }


def learning_rate_at(step: int, *, highest: float, warmup_steps: int, total_steps: int) -> float:
    """The rate for optimizer step ``step``, from 0: a straight rise, then a cosine to zero.

    Source: Loshchilov and Hutter, SGDR (2017), without restarts.
    """
    warmup_steps = min(warmup_steps, total_steps - 1)
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

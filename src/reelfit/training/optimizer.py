"""AdamW or SGD over the trained parameters, with their state made beforehand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from reelfit.training.settings import TrainSettings


@dataclass(frozen=True)
class Descent:
    """Which optimizer takes the steps, and how; what it holds is part of every plan."""

    name: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.0
    """Of SGD: what stays of the direction of the steps before; 0 keeps no buffer."""
    nesterov: bool = False
    decay_vectors: bool = False
    """Whether weight decay is of biases and norms too."""

    @classmethod
    def asked_by(cls, settings: TrainSettings) -> "Descent":
        """What a study asks for."""
        momentum = 0.9 if settings.momentum is None else settings.momentum
        return cls(
            settings.optimizer,
            momentum if settings.optimizer == "sgd" else 0.0,
            settings.nesterov,
            settings.decay_vectors,
        )

    @property
    def copies(self) -> int:
        """How often the state has the size of what is trained."""
        if self.name == "adamw":
            return 2
        return 1 if self.momentum else 0

    def state_bytes(self, trained: Iterable[nn.Parameter]) -> int:
        """What the state of these parameters takes; AdamW counts the steps of each, in 4 bytes."""
        counter_bytes = 4 if self.name == "adamw" else 0
        return sum(self.copies * p.numel() * p.element_size() + counter_bytes for p in trained)


ADAMW = Descent()


def make_optimizer(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    descent: Descent = ADAMW,
    factors: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """An optimizer over every parameter that requires a gradient, in groups of one rate and decay.

    ``factors`` are of parameters by name; each group has its ``factor``, 1 where none is given, and
    ``set_rate`` applies it. Decay is of matrices and kernels alone, unless ``decay_vectors``; of
    scalars, such as a learned temperature, never. AdamW's is decoupled; SGD adds it to the
    gradient. All state is allocated here: an error in the middle of a first step would leave half
    of it.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019); Sutskever et al.,
    On the importance of initialization and momentum in deep learning (2013), as torch has it.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > (0 if descent.decay_vectors else 1)
            groups.setdefault(((factors or {}).get(name, 1.0), decays), []).append(parameter)
    described = [
        {"params": members, "weight_decay": weight_decay if decays else 0.0, "factor": factor}
        for (factor, decays), members in groups.items()
    ]
    optimizer: torch.optim.Optimizer
    if descent.name == "adamw":
        optimizer = torch.optim.AdamW(described, lr=learning_rate)
    else:
        optimizer = torch.optim.SGD(
            described,
            lr=learning_rate,
            momentum=descent.momentum,
            nesterov=descent.nesterov,
        )
    allocate_state(optimizer)
    set_rate(optimizer, learning_rate)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives each group this rate times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def allocate_state(optimizer: torch.optim.Optimizer) -> None:
    """Makes the state of Adam, AdamW and SGD before the first step, where it has none yet.

    Other optimizers make theirs in their first step; memory that runs out there is an UpdateError.
    So does SGD with dampening, whose first buffer is the whole gradient.
    """
    if isinstance(optimizer, torch.optim.Adam):  # AdamW is one
        _allocate_moments(optimizer)
    elif isinstance(optimizer, torch.optim.SGD):
        _allocate_buffers(optimizer)


def _allocate_moments(optimizer: torch.optim.Adam) -> None:
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


def _allocate_buffers(optimizer: torch.optim.SGD) -> None:
    """A buffer of zeros becomes in the first step what torch would begin with: the gradient."""
    for group in optimizer.param_groups:
        if not group["momentum"] or group["dampening"]:
            continue
        for parameter in group["params"]:
            if (
                parameter.requires_grad
                and optimizer.state[parameter].get("momentum_buffer") is None
            ):
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

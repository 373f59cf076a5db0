"""How a model is trained. No torch here: the parent process reads these."""

from typing import Literal

from pydantic import Field

from reelfit.memory.release import ReleaseSettings
from reelfit.settings import NO_EFFECT, Settings


class EarlyStoppingSettings(Settings):
    """Stops when held-out videos of the training folds no longer gain.

    The validation fold is never asked: a stop chosen on it would flatter its own predictions.
    """

    metric: str = "loss"
    """The metric watched: loss, or a metric of the task such as roc_auc."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better value before training stops."""
    holdout: float = Field(default=0.15, gt=0, lt=0.5)
    """The share of the training groups that is held out to be watched."""


class TrainSettings(Settings):
    """How each model is trained on each fold."""

    epochs: int = Field(default=20, ge=1)
    """Times that every training clip is seen."""
    effective_batch: int = Field(default=32, ge=1)
    """Samples per optimizer step; the result depends on this and not on the micro-batch."""
    micro_batch: int | None = Field(default=None, ge=1, json_schema_extra=NO_EFFECT)
    """The most samples per forward pass; memory may make it smaller, the result stays."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate, reached after the warm-up."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay, for matrices and kernels alone."""
    warmup_steps: int = Field(default=10, ge=0)
    """Optimizer steps in which the learning rate rises to its highest."""
    clip_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients longer than this are scaled down to it; null leaves them."""
    balance: Literal["none", "class_weights", "sampling", "group_sampling"] = "none"
    """How classes of unequal size are treated: not at all, by loss weights, by sampling each class
    equally often, or by sampling within it each group equally often too."""
    early_stopping: EarlyStoppingSettings | None = None
    """When to stop before the last epoch; null trains all epochs."""
    on_out_of_memory: Literal["retry", "skip"] = "retry"
    """What is done with a step that memory ran out in: cut finer and done again, with the same
    result; or its samples are given up, each listed, as other systems do unasked."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; auto is bfloat16 on a GPU that has it, else float32."""
    keep_epochs: int = Field(default=2, ge=0, json_schema_extra=NO_EFFECT)
    """How many of the last epochs' checkpoints stay beside latest and best."""
    checkpoint_minutes: float = Field(default=5.0, gt=0, json_schema_extra=NO_EFFECT)
    """Minutes between checkpoints within an epoch; every epoch ends with one as well."""
    release: ReleaseSettings | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """When memory that is free already is given back; null is never, see benchmarks/release.py."""

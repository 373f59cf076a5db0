"""How a model is trained. No torch here: the parent process reads these."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reelfit.memory.release import ReleaseSettings
from reelfit.settings import NO_EFFECT, Settings

Deviation = Annotated[float, Field(gt=0)]


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


class GivenChannels(Settings):
    """Mean and deviation of red, green and blue, of pixels from 0 to 1."""

    mean: tuple[float, float, float]
    """Of each channel."""
    std: tuple[Deviation, Deviation, Deviation]
    """The standard deviation of each."""


class TrainSettings(Settings):
    """How each model is trained on each fold."""

    epochs: int = Field(default=20, ge=1)
    """Times that every training clip is seen."""
    effective_batch: int = Field(default=32, ge=1)
    """Samples per optimizer step; the result depends on this and not on the micro-batch."""
    micro_batch: int | None = Field(default=None, ge=1, json_schema_extra=NO_EFFECT)
    """The most samples per forward pass; memory may make it smaller, the result stays."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """What takes the steps: AdamW, or SGD, which holds half as much state or none."""
    momentum: float | None = Field(default=None, ge=0, lt=1)
    """Of SGD: what stays of the direction of the steps before; null is 0.9."""
    nesterov: bool = False
    """Of SGD with momentum: whether the gradient is taken as if the next step were made already."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate, reached after the warm-up."""
    layer_decay: float | None = Field(default=None, gt=0, lt=1)
    """What the learning rate of each layer is multiplied by against that of the next deeper one,
    for models that say how deep their layers are; null leaves all alike."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay, for matrices and kernels alone: AdamW's is decoupled, SGD's is added to the
    gradient."""
    decay_vectors: bool = False
    """Whether biases and the weights of norms decay too."""
    schedule: Literal["cosine", "linear", "step", "one_cycle", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up, by optimizer steps: down to zero by a cosine
    or a line, down in steps, up and down in one cycle, or as it is."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Optimizer steps in which the learning rate rises to its highest; null is 10, and of one_cycle
    three tenths of all steps."""
    drop_every: int | None = Field(default=None, ge=1)
    """Of the schedule step: optimizer steps, after the warm-up, from one drop to the next."""
    drop_factor: float | None = Field(default=None, gt=0, lt=1)
    """Of the schedule step: what the learning rate is multiplied by at each drop; null is 0.1."""
    clip_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients longer than this are scaled down to it; null leaves them."""
    balance: Literal["none", "class_weights", "sampling", "group_sampling"] = "none"
    """How classes of unequal size are treated: not at all, by loss weights, by sampling each class
    equally often, or by sampling within it each group equally often too."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """The share of each target that is spread evenly over all classes."""
    focal: float | None = Field(default=None, gt=0)
    """The gamma of the focal loss, by which samples that are right already weigh less; null is
    cross-entropy."""
    mixup: float | None = Field(default=None, gt=0)
    """Blends each training clip and its target with another of the same step, by a share from a
    beta distribution of this parameter; null leaves clips as they are."""
    cutmix: float | None = Field(default=None, gt=0)
    """As mixup, but a box of all frames is replaced; with both, chance says which for each clip."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """The share that stays, at each step, of a running average of the weights; validation and
    prediction then use that average. Null keeps none."""
    early_stopping: EarlyStoppingSettings | None = None
    """When to stop before the last epoch; null trains all epochs."""
    on_out_of_memory: Literal["retry", "skip"] = "retry"
    """What is done with a step that memory ran out in: cut finer and done again, with the same
    result; or its samples are given up, each listed, as other systems do unasked."""
    normalize: Literal["halves", "measured"] | GivenChannels = "halves"
    """What pixels are for a network: from -1 to 1; or less the mean of their channel, by its
    deviation, both measured on the originals that each fold learns from, or given (mean, std). A
    network with a scale of its own, such as a checkpoint's, keeps it."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; auto is bfloat16 on a GPU that has it, else float32."""
    keep_epochs: int = Field(default=2, ge=0, json_schema_extra=NO_EFFECT)
    """How many of the last epochs' checkpoints stay beside latest and best."""
    checkpoint_minutes: float = Field(default=5.0, gt=0, json_schema_extra=NO_EFFECT)
    """Minutes between checkpoints within an epoch; every epoch ends with one as well."""
    release: ReleaseSettings | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """When memory that is free already is given back; null is never, see benchmarks/release.py."""

    @model_validator(mode="after")
    def _each_option_does_something(self) -> "TrainSettings":
        sgd, drops = self.optimizer == "sgd", self.schedule == "step"
        mixed = self.mixup is not None or self.cutmix is not None
        mistakes = {
            "momentum is SGD's: give optimizer: sgd, or leave it out": (
                self.momentum is not None and not sgd
            ),
            "nesterov needs optimizer: sgd and a momentum above 0": (
                self.nesterov and not (sgd and self.momentum != 0)
            ),
            "decay_vectors does nothing without weight_decay": (
                self.decay_vectors and not self.weight_decay
            ),
            "schedule: step needs drop_every, the steps from one drop to the next": (
                drops and self.drop_every is None
            ),
            "drop_every and drop_factor are of schedule: step": (
                not drops and (self.drop_every is not None or self.drop_factor is not None)
            ),
            "mixup and cutmix need an effective_batch of 2 at least: partners are of one step": (
                mixed and self.effective_batch < 2
            ),
        }
        for said, is_so in mistakes.items():
            if is_so:
                raise ValueError(said)
        return self

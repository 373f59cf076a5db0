"""One of several classes for each video."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from reelfit.metrics import measure
from reelfit.tasks.task import Task


@final
@dataclass(frozen=True)
class Classify(Task):
    """One class of ``num_classes``, learnt by cross-entropy.

    With the probability ``p`` of each class, its target ``t`` (1 or 0, or soft) and its weight
    ``w``, the loss of a sample is the sum over the classes of ``-w s (1 - p)^gamma log p``, where
    ``s = (1 - smoothing) t + smoothing / num_classes`` and gamma is ``focal``. Without focal it is
    torch's ``cross_entropy``, whose target may be probabilities. It is not divided by weights.

    Source: Szegedy et al., Rethinking the Inception Architecture (2016), for smoothing; Lin et al.,
    Focal Loss for Dense Object Detection (2017).
    """

    num_classes: int
    class_weights: Float[Tensor, " class"] | None = None
    smoothing: float = 0.0
    focal: float = 0.0

    @property
    def num_outputs(self) -> int:
        """One logit per class."""
        return self.num_classes

    def losses(
        self,
        outputs: Float[Tensor, "batch output"],
        targets: Int64[Tensor, " batch"] | Float[Tensor, "batch output"],
    ) -> Float[Tensor, " batch"]:
        """The loss of each sample, in single precision at least."""
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(outputs)
        if targets.is_floating_point():
            targets = targets.to(outputs)
        if self.focal:
            return self._focal(outputs, targets, weights)
        return functional.cross_entropy(
            outputs, targets, weight=weights, reduction="none", label_smoothing=self.smoothing
        )

    def soft_targets(self, targets: Int64[Tensor, " batch"]) -> Float[Tensor, "batch output"]:
        """1 for the class, 0 for the others."""
        return functional.one_hot(targets, self.num_classes).float()

    def _focal(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        if not targets.is_floating_point():
            targets = self.soft_targets(targets).to(outputs)
        targets = (1 - self.smoothing) * targets + self.smoothing / self.num_classes
        likelihoods = outputs.log_softmax(1)
        # Below 1 the power has no slope at 0, where a class is as good as certain.
        misses = (-likelihoods.expm1()).clamp_min(torch.finfo(outputs.dtype).tiny)
        terms = targets * misses**self.focal * -likelihoods
        return (terms if weights is None else terms * weights).sum(1)

    def probabilities(
        self, outputs: Float[Tensor, "batch output"]
    ) -> Float64[np.ndarray, "batch output"]:
        """The softmax of the logits, taken in double precision."""
        return np.asarray(outputs.detach().cpu().double().softmax(1).numpy())

    def metrics(
        self,
        targets: Int64[np.ndarray, " sample"],
        probabilities: Float64[np.ndarray, "sample output"],
    ) -> dict[str, float | None]:
        """All of ``reelfit.metrics``."""
        return measure(targets, probabilities)

"""One of several classes for each video."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from reelfit.metrics import measure
from reelfit.tasks.task import Task


@final
@dataclass(frozen=True)
class Classify(Task):
    """Cross-entropy over the classes, each weighted by ``class_weights`` where they are given."""

    num_classes: int
    class_weights: Float[Tensor, " class"] | None = None

    @property
    def num_outputs(self) -> int:
        """One logit per class."""
        return self.num_classes

    def losses(
        self, outputs: Float[Tensor, "batch output"], targets: Int64[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """The cross-entropy of each sample, times the weight of its class."""
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(outputs.device)
        return functional.cross_entropy(outputs.float(), targets, weight=weights, reduction="none")

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

"""What a task is: outputs, losses of single samples, and the metrics of its predictions."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor


class Task(ABC):
    """One task. Losses are of single samples: how they are summed is the training's affair."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """The numbers that a model gives for each sample."""

    @abstractmethod
    def losses(
        self,
        outputs: Float[Tensor, "batch output"],
        targets: Int64[Tensor, " batch"] | Float[Tensor, "batch output"],
    ) -> Float[Tensor, " batch"]:
        """The loss of each sample by itself; targets are as they stand in the table, or soft."""

    @abstractmethod
    def soft_targets(self, targets: Int64[Tensor, " batch"]) -> Float[Tensor, "batch output"]:
        """Targets of which a weighted mean of two is a target again."""

    @abstractmethod
    def probabilities(
        self, outputs: Float[Tensor, "batch output"]
    ) -> Float64[np.ndarray, "batch output"]:
        """What the outputs say, as probabilities in double precision."""

    @abstractmethod
    def metrics(
        self,
        targets: Int64[np.ndarray, " sample"],
        probabilities: Float64[np.ndarray, "sample output"],
    ) -> dict[str, float | None]:
        """Every metric of these predictions; None where it is undefined."""

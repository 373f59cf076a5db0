"""What a metric is: a number from targets and probabilities, or nothing where it is undefined."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

Targets = Int64[np.ndarray, " sample"]
Probabilities = Float64[np.ndarray, "sample class"]


@dataclass(frozen=True)
class Metric:
    """A metric and the direction in which it is better."""

    function: Callable[[Targets, Probabilities], float]
    higher_is_better: bool = True

    def value(self, targets: Targets, probabilities: Probabilities) -> float | None:
        """The metric, or None where it is undefined, such as an area under one class's curve."""
        value = float(self.function(targets, probabilities))
        return None if math.isnan(value) else value

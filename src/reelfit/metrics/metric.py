"""What a metric is: numbers from targets and probabilities, over many weightings at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

Targets = Int64[np.ndarray, " sample"]
Probabilities = Float64[np.ndarray, "sample class"]
Weights = Float64[np.ndarray, "resample sample"]
"""How often each resample holds each sample: whole numbers, zero among them."""
Values = Float64[np.ndarray, " resample"]
"""NaN where a resample leaves the metric undefined, such as an area under one class's curve."""


@dataclass(frozen=True)
class Metric:
    """A metric and the direction in which it is better.

    ``function`` gives one value for each row of weights: a resample is never copied out.
    """

    function: Callable[[Targets, Probabilities, Weights], Values]
    higher_is_better: bool = True

    def value(self, targets: Targets, probabilities: Probabilities) -> float | None:
        """The metric of each sample once, or None where it is undefined."""
        once = np.ones((1, len(targets)))
        value = float(self.values(targets, probabilities, once)[0])
        return None if math.isnan(value) else value

    def values(self, targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
        """The metric of each resample.

        Raises:
            ValueError: a probability is no finite number.
        """
        if not np.isfinite(probabilities).all():
            raise ValueError("a probability is not a finite number")
        return self.function(targets, probabilities, weights)


def one_hot(places: Targets, count: int) -> Float64[np.ndarray, "sample place"]:
    """A row for each sample with 1 in its place and 0 elsewhere."""
    shown = np.zeros((len(places), count))
    shown[np.arange(len(places)), places] = 1.0
    return shown


def ratio(
    above: Float64[np.ndarray, "*shape"], below: Float64[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """``above / below``, and 0 where nothing stands below."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))

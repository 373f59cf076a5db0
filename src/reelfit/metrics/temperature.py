"""One number that makes a model's probabilities milder or firmer, and leaves their order."""

import numpy as np
from jaxtyping import Float64

from reelfit.metrics.metric import Probabilities, Targets

LIMITS = (0.05, 20.0)
"""Of a temperature: where all is right, or nothing, the best one would be 0 or without end."""
_LEAST = 1e-12
_HALVINGS = 60


def _logits(probabilities: Probabilities) -> Float64[np.ndarray, "sample class"]:
    return np.asarray(np.log(np.maximum(probabilities, _LEAST)))


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The softmax of the logarithms of ``probabilities`` over ``temperature``."""
    scaled = _logits(probabilities) / temperature
    raised = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def fit_temperature(targets: Targets, probabilities: Probabilities) -> float:
    """The temperature, within ``LIMITS``, of the least log loss on these samples.

    The loss is convex in the temperature's inverse, so that its slope is halved to zero.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), temperature scaling.
    """
    logits = _logits(probabilities)
    true = logits[np.arange(len(targets)), targets]

    def slope(inverse: float) -> float:
        given = apply_temperature(probabilities, 1 / inverse)
        return float(np.mean(np.sum(given * logits, axis=1) - true))

    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    if slope(low) >= 0:
        return LIMITS[1]
    if slope(high) <= 0:
        return LIMITS[0]
    for _ in range(_HALVINGS):
        between = float(np.sqrt(low * high))
        low, high = (between, high) if slope(between) < 0 else (low, between)
    return float(1 / np.sqrt(low * high))

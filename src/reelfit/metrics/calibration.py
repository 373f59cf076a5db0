"""Metrics of the probabilities themselves: whether what is said with 80 % is so 8 times of 10."""

import numpy as np
from jaxtyping import Float64, Int64

from reelfit.metrics.metric import Probabilities, Targets, Values, Weights, one_hot

BINS = 15
"""Of the expected calibration errors."""
_EPSILON = float(np.finfo(np.float64).eps)


def brier_score(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The mean squared error of the probabilities: of class 1 of two, summed over more classes.

    Source: Brier, Verification of forecasts expressed in terms of probability (1950).
    """
    if probabilities.shape[1] == 2:
        losses = (probabilities[:, 1] - (targets == 1)) ** 2
    else:
        losses = np.sum((probabilities - one_hot(targets, probabilities.shape[1])) ** 2, axis=1)
    return np.asarray(weights @ losses / weights.sum(1))


def log_loss(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The mean negative logarithm of what the true class was given, kept off 0 and 1 as there.

    Source: scikit-learn's ``log_loss``.
    """
    given = probabilities[np.arange(len(targets)), targets]
    losses = -np.log(np.clip(given, _EPSILON, 1 - _EPSILON))
    return np.asarray(weights @ losses / weights.sum(1))


def confidence_of(
    targets: Targets, probabilities: Probabilities
) -> tuple[Float64[np.ndarray, " sample"], Float64[np.ndarray, " sample"]]:
    """(is it so, what was said) of class 1 of two, or of the class predicted of more."""
    if probabilities.shape[1] == 2:
        return (targets == 1).astype(np.float64), probabilities[:, 1]
    return (targets == probabilities.argmax(1)).astype(np.float64), probabilities.max(1)


def expected_calibration_error(
    targets: Targets, probabilities: Probabilities, weights: Weights
) -> Values:
    """How far what was said lies from what was so, over 15 bins of equal width.

    The mean over the samples of ``|mean said - share that is so|`` of the bin each is in; a bin
    holds its upper edge, and the first one 0 as well.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015),
    for two classes; Guo et al., On Calibration of Modern Neural Networks (2017), for more.
    """
    so, said = confidence_of(targets, probabilities)
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.searchsorted(edges[1:-1], said).astype(np.int64)
    gaps = weights @ (one_hot(bins, BINS) * (said - so)[:, None])
    return np.asarray(np.abs(gaps).sum(1) / weights.sum(1))


def equal_mass_calibration_error(
    targets: Targets, probabilities: Probabilities, weights: Weights
) -> Values:
    """The same over 15 bins that hold equally many samples, as nearly as they can.

    A sample's bin goes by its rank; samples of equal probability share the middle of their ranks,
    so that neither their order nor a copy of one decides.

    Source: Nguyen and O'Connor, Posterior Calibration and Exploratory Analysis for Natural Language
    Processing Models (2015), adaptive binning.
    """
    so, said = confidence_of(targets, probabilities)
    values, tied = np.unique(said, return_inverse=True)
    of_value = one_hot_sums(weights, tied.astype(np.int64), len(values))
    gap_of_value = one_hot_sums(weights * (said - so), tied.astype(np.int64), len(values))
    total = weights.sum(1, keepdims=True)
    middle = 2 * np.cumsum(of_value, axis=1) - of_value  # twice the rank, a whole number
    bins = np.minimum(BINS * middle // (2 * total), BINS - 1).astype(np.int64)
    places = bins + BINS * np.arange(len(weights))[:, None]
    gaps = np.bincount(places.ravel(), gap_of_value.ravel(), BINS * len(weights))
    return np.asarray(np.abs(gaps.reshape(-1, BINS)).sum(1) / total[:, 0])


def one_hot_sums(
    weights: Weights, places: Int64[np.ndarray, " sample"], count: int
) -> Float64[np.ndarray, "resample place"]:
    """The weights of the samples in each place, summed; no place is empty."""
    order = np.argsort(places, kind="stable")
    begins = np.searchsorted(places[order], np.arange(count))
    return np.asarray(np.add.reduceat(weights[:, order], begins, axis=1))

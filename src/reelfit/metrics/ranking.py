"""Metrics of the order in which the probabilities put the samples.

With two classes they rank by the probability of class 1; with more they are means over the classes,
each against the rest. All are undefined where a class, or its rest, has no sample.

Source: the definitions of scikit-learn's ``roc_auc_score``, ``average_precision_score`` and
``roc_curve``; samples of equal score are one step. Counts are whole numbers in double precision,
which are exact below 2 ** 53.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from reelfit.metrics.metric import Probabilities, Targets, Values, Weights, ratio

Steps = Float64[np.ndarray, "resample threshold"]
Column = Float64[np.ndarray, "resample 1"]


class _Curve(NamedTuple):
    """Of each resample: what scores at least each threshold, from none to all."""

    hits: Steps
    alarms: Steps

    @property
    def positive(self) -> Column:
        return self.hits[:, -1:]

    @property
    def negative(self) -> Column:
        return self.alarms[:, -1:]


def _curve(
    positive: Bool[np.ndarray, " sample"], scores: Float64[np.ndarray, " sample"], weights: Weights
) -> _Curve:
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of samples that tie
    counts = weights[:, order]
    start = np.zeros((len(weights), 1))
    reached = np.cumsum(counts, axis=1)[:, last]
    hits = np.cumsum(counts * positive[order], axis=1)[:, last]
    return _Curve(np.hstack([start, hits]), np.hstack([start, reached - hits]))


def _over_classes(
    of_curve: Callable[[_Curve], Values],
    targets: Targets,
    probabilities: Probabilities,
    weights: Weights,
) -> Values:
    """The mean of ``of_curve`` over class 1 of two, or over each of more; NaN if one has none."""
    classes = probabilities.shape[1]
    found = []
    for label in [1] if classes == 2 else range(classes):
        curve = _curve(targets == label, probabilities[:, label], weights)
        defined = (curve.positive > 0) & (curve.negative > 0)
        with np.errstate(invalid="ignore", divide="ignore"):  # of what is not defined
            found.append(np.where(defined[:, 0], of_curve(curve), np.nan))
    return np.asarray(np.mean(found, axis=0))


def _area(curve: _Curve) -> Values:
    heights = curve.hits[:, 1:] + curve.hits[:, :-1]
    doubled = np.einsum("rt,rt->r", np.diff(curve.alarms), heights)
    return np.asarray(doubled / (2 * curve.positive * curve.negative)[:, 0])


def _mean_precision(curve: _Curve) -> Values:
    hits = curve.hits[:, 1:]
    precisions = ratio(hits, hits + curve.alarms[:, 1:])
    return np.asarray(np.einsum("rt,rt->r", np.diff(curve.hits), precisions) / curve.positive[:, 0])


def _equal_errors(curve: _Curve) -> Values:
    positive, negative = curve.positive, curve.negative
    gap = curve.alarms * positive + curve.hits * negative - positive * negative  # never falling
    rows, after = np.arange(len(gap)), np.argmax(gap >= 0, axis=1)
    gap_before = gap[rows, after - 1]
    part = -gap_before / (gap[rows, after] - gap_before)
    alarms = curve.alarms[rows, after - 1]
    alarms = alarms + part * (curve.alarms[rows, after] - alarms)
    return np.asarray(alarms / negative[:, 0])


def roc_auc(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The chance that a positive sample scores above a negative one; undefined for one class."""
    return _over_classes(_area, targets, probabilities, weights)


def average_precision(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The mean precision over the recalls that a threshold can reach; undefined for one class."""
    return _over_classes(_mean_precision, targets, probabilities, weights)


def equal_error_rate(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The error rate where false alarms and misses are equally frequent; undefined for one class.

    It is read off the ROC curve, taken linearly between its points.
    """
    return _over_classes(_equal_errors, targets, probabilities, weights)

"""Metrics of the predicted class, which is the most probable one, the first of equals.

With two classes precision, recall and F1 are those of class 1; with more they are means over the
classes, each against the rest.

Source: the definitions of scikit-learn, with ``zero_division=0``; the tests hold them against it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from reelfit.metrics.metric import Probabilities, Targets, Values, Weights, one_hot, ratio

PerClass = Float64[np.ndarray, "resample class"]


class _Counts(NamedTuple):
    right: PerClass
    predicted: PerClass
    present: PerClass


def _count(targets: Targets, probabilities: Probabilities, weights: Weights) -> _Counts:
    classes, predicted = probabilities.shape[1], probabilities.argmax(1)
    truth = one_hot(targets, classes)
    right = truth * (targets == predicted)[:, None]
    return _Counts(weights @ right, weights @ one_hot(predicted, classes), weights @ truth)


def _over_classes(scores: PerClass) -> Values:
    return scores[:, 1] if scores.shape[1] == 2 else scores.mean(1)


def accuracy(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The share of samples whose class was predicted."""
    right = (probabilities.argmax(1) == targets).astype(np.float64)
    return np.asarray(weights @ right / weights.sum(1))


def balanced_accuracy(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The mean over the classes present of the share of each that was recognised."""
    counts = _count(targets, probabilities, weights)
    recalls = ratio(counts.right, counts.present)
    return np.asarray(recalls.sum(1) / (counts.present > 0).sum(1))


def precision(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The share of those predicted positive that are; 0 where none is."""
    counts = _count(targets, probabilities, weights)
    return _over_classes(ratio(counts.right, counts.predicted))


def recall(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The share of the positive ones that were predicted so; 0 where there is none."""
    counts = _count(targets, probabilities, weights)
    return _over_classes(ratio(counts.right, counts.present))


def f1(targets: Targets, probabilities: Probabilities, weights: Weights) -> Values:
    """The harmonic mean of precision and recall."""
    counts = _count(targets, probabilities, weights)
    return _over_classes(ratio(2 * counts.right, counts.predicted + counts.present))

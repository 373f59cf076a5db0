"""Metrics of classification, by scikit-learn wherever it has them.

The predicted class is the most probable one, the first of equals. With two classes precision,
recall and F1 are those of class 1, and the curves rank by its probability; with more classes they
are means over the classes, each against the rest.
"""

import numpy as np
from jaxtyping import Float64
from sklearn import metrics

from reelfit.metrics.metric import Probabilities, Targets

NAN = float("nan")


def accuracy(targets: Targets, probabilities: Probabilities) -> float:
    """The share of samples whose class was predicted."""
    return float(metrics.accuracy_score(targets, probabilities.argmax(1)))


def balanced_accuracy(targets: Targets, probabilities: Probabilities) -> float:
    """The mean over the classes present of the share of each that was recognised."""
    predicted = probabilities.argmax(1)
    recalls = [float(np.mean(predicted[targets == label] == label)) for label in np.unique(targets)]
    return float(np.mean(recalls))


def _of_classes(score: str, targets: Targets, probabilities: Probabilities) -> float:
    classes = probabilities.shape[1]
    averaging = (
        {"average": "binary"}
        if classes == 2
        else {"average": "macro", "labels": list(range(classes))}
    )
    function = getattr(metrics, score)
    return float(function(targets, probabilities.argmax(1), zero_division=0.0, **averaging))


def precision(targets: Targets, probabilities: Probabilities) -> float:
    """The share of those predicted positive that are; 0 where none is."""
    return _of_classes("precision_score", targets, probabilities)


def recall(targets: Targets, probabilities: Probabilities) -> float:
    """The share of the positive ones that were predicted so."""
    return _of_classes("recall_score", targets, probabilities)


def f1(targets: Targets, probabilities: Probabilities) -> float:
    """The harmonic mean of precision and recall."""
    return _of_classes("f1_score", targets, probabilities)


def _against_the_rest(
    targets: Targets, probabilities: Probabilities
) -> list[tuple[Targets, Float64[np.ndarray, " sample"]]]:
    """(is it this class, its probability) for class 1 of two, or for each of more classes."""
    classes = range(probabilities.shape[1]) if probabilities.shape[1] > 2 else [1]
    return [((targets == label).astype(np.int64), probabilities[:, label]) for label in classes]


def _has_both(positive: Targets) -> bool:
    return 0 < int(positive.sum()) < len(positive)


def roc_auc(targets: Targets, probabilities: Probabilities) -> float:
    """The chance that a positive sample scores above a negative one; undefined for one class."""
    pairs = _against_the_rest(targets, probabilities)
    if not all(_has_both(positive) for positive, _ in pairs):
        return NAN
    return float(np.mean([metrics.roc_auc_score(positive, score) for positive, score in pairs]))


def average_precision(targets: Targets, probabilities: Probabilities) -> float:
    """The mean precision over the recalls that a threshold can reach; undefined for one class."""
    pairs = _against_the_rest(targets, probabilities)
    if not all(_has_both(positive) for positive, _ in pairs):
        return NAN
    scores = [metrics.average_precision_score(positive, score) for positive, score in pairs]
    return float(np.mean(scores))


def equal_error_rate(targets: Targets, probabilities: Probabilities) -> float:
    """The error rate where false alarms and misses are equally frequent; undefined for one class.

    It is read off scikit-learn's ROC curve, taken linearly between its points.
    """
    pairs = _against_the_rest(targets, probabilities)
    if not all(_has_both(positive) for positive, _ in pairs):
        return NAN
    rates = []
    for positive, score in pairs:
        alarms, hits, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
        gap = alarms - (1 - hits)  # from -1 to 1, never falling
        after = int(np.argmax(gap >= 0))
        step = gap[after] - gap[after - 1]
        part = -gap[after - 1] / step
        rates.append(alarms[after - 1] + part * (alarms[after] - alarms[after - 1]))
    return float(np.mean(rates))


def brier_score(targets: Targets, probabilities: Probabilities) -> float:
    """The mean squared error of the probabilities: of class 1 of two, summed over more classes.

    Source: Brier, Verification of forecasts expressed in terms of probability (1950).
    """
    if probabilities.shape[1] == 2:
        return float(np.mean((probabilities[:, 1] - (targets == 1)) ** 2))
    truth = np.eye(probabilities.shape[1])[targets]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))

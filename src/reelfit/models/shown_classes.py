"""The classes that training rows show: what a library learns of them, laid out over all classes."""

import numpy as np
from jaxtyping import Bool, Float64, Int64


def classes_shown(
    targets: Int64[np.ndarray, " sample"], *, num_classes: int
) -> Bool[np.ndarray, " class"]:
    """Whether a row of each class is there."""
    return np.isin(np.arange(num_classes), targets)


def over_all_classes(
    shown: Bool[np.ndarray, " class"], found: Float64[np.ndarray, "sample shown"]
) -> Float64[np.ndarray, "sample class"]:
    """Probabilities of the classes shown in their columns; 0 in the others."""
    spread = np.zeros((len(found), len(shown)))
    spread[:, shown] = found
    return spread


def row_weights(
    targets: Int64[np.ndarray, " sample"], *, balanced: bool
) -> Float64[np.ndarray, " sample"]:
    """1 for every row; where classes are balanced, the inverse of the share of the row's class.

    Source: scikit-learn's ``class_weight="balanced"``.
    """
    if not balanced:
        return np.ones(len(targets))
    counts = np.bincount(targets)
    return np.asarray(len(targets) / (np.count_nonzero(counts) * counts[targets].astype(float)))


def softmax(scores: Float64[np.ndarray, "sample class"]) -> Float64[np.ndarray, "sample class"]:
    """The probabilities that the logarithms of odds ``scores`` stand for."""
    raised = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))

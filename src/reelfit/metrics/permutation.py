"""What a metric would be if the labels meant nothing: labels dealt out anew, groups kept whole."""

import numpy as np
from jaxtyping import Int64

from reelfit.metrics.metric import Targets, Values


def permute_labels(
    targets: Targets, groups: Int64[np.ndarray, " sample"], generator: np.random.Generator
) -> Targets:
    """The labels dealt out anew so that videos of one group stay as alike as they were.

    Groups of one class swap their class among each other; in a group of several classes its videos
    swap their labels. So each group keeps how many classes it has.

    Source: Winkler et al., Multi-level block permutation (2015), whole and within blocks.
    """
    order = np.argsort(groups, kind="stable")
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    members = np.split(order, begins[1:])
    single = [rows for rows in members if np.all(targets[rows] == targets[rows[0]])]
    permuted = targets.copy()
    labels = np.array([targets[rows[0]] for rows in single], dtype=np.int64)
    for rows, label in zip(single, generator.permutation(labels), strict=True):
        permuted[rows] = label
    for rows in members:
        if np.any(targets[rows] != targets[rows[0]]):
            permuted[rows] = generator.permutation(targets[rows])
    return permuted


def p_by_permutation(value: float, permuted: Values) -> float:
    """How often labels that mean nothing reach ``value``: ``(b + 1) / (n + 1)``, never 0.

    Source: Phipson and Smyth, Permutation P-values Should Never Be Zero (2010).
    """
    defined = permuted[~np.isnan(permuted)]
    return (int(np.sum(defined >= value)) + 1) / (len(defined) + 1)

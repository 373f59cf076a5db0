"""Whether one model is better than another, and what that is worth where many are compared.

Of every pair two tests look at the difference of one metric: over resamples of whole groups, for
the videos that there happen to be, and over folds, for the training that there happened to be.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from reelfit.metrics.metric import Values
from reelfit.metrics.resampling import middle

LEVEL = 0.05
"""Of the chance to call any difference real where there is none."""


class Judged(NamedTuple):
    """One model's metric: over all videos, of each resample of groups, and of each fold."""

    model: str
    value: float | None
    resampled: Values
    by_fold: Float64[np.ndarray, " fold"]
    """NaN where a fold leaves it undefined."""


class Comparison(NamedTuple):
    """The first model less the second; a p-value is None where nothing can be tested."""

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    p_groups: float | None
    p_folds: float | None
    adjusted_p_groups: float | None = None
    """After Holm's correction for all pairs of the same question."""
    adjusted_p_folds: float | None = None


def compare_all(
    models: Sequence[Judged], *, num_groups: int, test_over_train: float
) -> list[Comparison]:
    """Every pair, the better model of each first, corrected for all of them.

    All pairs count, even where only those with the best model are looked at: which one is the best
    was seen in the same videos.
    """
    ranked = sorted(models, key=lambda judged: -np.inf if judged.value is None else -judged.value)
    ranked.sort(key=lambda judged: judged.value is None)
    pairs = combinations(ranked, 2)
    return _corrected([_compare(a, b, num_groups, test_over_train) for a, b in pairs])


def compare_with(
    models: Sequence[Judged], control: Judged, *, num_groups: int, test_over_train: float
) -> list[Comparison]:
    """Each model less ``control``, corrected for as many comparisons as there are models."""
    return _corrected([_compare(each, control, num_groups, test_over_train) for each in models])


def _compare(first: Judged, second: Judged, num_groups: int, test_over_train: float) -> Comparison:
    names = first.model, second.model
    if first.value is None or second.value is None:
        return Comparison(*names, None, None, None, None, None)
    difference = first.value - second.value
    of_resamples = first.resampled - second.resampled
    of_folds = first.by_fold - second.by_fold
    low, high = middle(of_resamples)
    p_groups = p_by_groups(difference, of_resamples, num_groups=num_groups)
    p_folds = p_by_folds(of_folds[~np.isnan(of_folds)], test_over_train=test_over_train)
    return Comparison(*names, difference, low, high, p_groups, p_folds)


def p_by_groups(difference: float, resampled: Values, *, num_groups: int) -> float | None:
    """The two-sided p-value of a difference by its standard error over resamples of groups.

    A t-test with one degree of freedom less than there are groups, whose p-value, unlike a share of
    the resamples, can be as small as a correction for hundreds of pairs needs.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 12.
    """
    defined = resampled[~np.isnan(resampled)]
    if len(defined) < 2 or num_groups < 2:
        return None
    return _two_sided(difference, float(np.std(defined, ddof=1)), num_groups - 1)


def p_by_folds(
    differences: Float64[np.ndarray, " fold"], *, test_over_train: float
) -> float | None:
    """The corrected resampled t-test of the differences of folds: their trainings share videos.

    ``test_over_train`` is the number of validation videos over that of training videos.

    Source: Nadeau and Bengio, Inference for the Generalization Error (2003).
    """
    folds = len(differences)
    if folds < 2:
        return None
    variance = (1 / folds + test_over_train) * float(np.var(differences, ddof=1))
    return _two_sided(float(np.mean(differences)), float(np.sqrt(variance)), folds - 1)


def _two_sided(difference: float, error: float, freedom: int) -> float | None:
    from scipy.special import stdtr

    if difference == 0:
        return 1.0
    if error == 0:  # a difference that is the same everywhere: no test can judge it
        return None
    return float(2 * stdtr(freedom, -abs(difference) / error))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value as if it were the only one: the chance of any false alarm stays what it was.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[place] = least
    return adjusted


def _corrected(found: list[Comparison]) -> list[Comparison]:
    by_groups = holm([pair.p_groups for pair in found])
    by_folds = holm([pair.p_folds for pair in found])
    return [
        pair._replace(adjusted_p_groups=groups, adjusted_p_folds=folds)
        for pair, groups, folds in zip(found, by_groups, by_folds, strict=True)
    ]

"""Which features a linear model can do without, found on its training rows alone."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float64

Reason = Literal["constant", "collinear", "inflated"]
REASONS: tuple[Reason, ...] = get_args(Reason)

HIGHEST_INFLATION = 1e6
"""Beyond it columns are one in float64: all such inflations are equal."""

_CONSTANT = 1e-12  # a spread below this part of the largest value is rounding
_EQUAL = 1e-9  # inflations this close together differ by rounding


class Cut(NamedTuple):
    """A column that is left out, and why."""

    column: int
    reason: Reason
    value: float | None
    """The correlation with ``beside``, or the variance inflation; None of a constant."""
    beside: int | None
    """The column that stays and says nearly the same, of a collinear one."""


def find_cuts(
    features: Float64[np.ndarray, "sample feature"],
    *,
    max_correlation: float,
    max_inflation: float,
) -> list[Cut]:
    """The columns to leave out, in the order in which they go; the same rows give the same.

    First constants. Then, from the first column on, each whose |r| with one before it that stays is
    ``max_correlation`` or more: of a pair the later goes. Then, one at a time, the column of the
    highest variance inflation among those left, while it is above ``max_inflation``: of equals the
    last goes. Fewer rows than columns inflate without bound, so that at most one column less than
    there are rows stays.

    Source: D. Belsley, E. Kuh and R. Welsch, Regression Diagnostics (1980).
    """
    constant = are_constant(features)
    cuts = [Cut(int(column), "constant", None, None) for column in np.flatnonzero(constant)]
    left = np.flatnonzero(~constant)
    correlations = _correlations(features[:, left])
    stays: list[int] = []  # places in ``left``
    for place in range(len(left)):
        with_them = correlations[place, stays]
        nearest = int(np.argmax(np.abs(with_them))) if stays else None
        if nearest is not None and abs(with_them[nearest]) >= max_correlation:
            beside = int(left[stays[nearest]])
            cuts.append(Cut(int(left[place]), "collinear", float(with_them[nearest]), beside))
        else:
            stays.append(place)
    while stays:
        inflation = _inflation(correlations[np.ix_(stays, stays)])
        highest = float(inflation.max())
        if highest <= max_inflation:
            break
        last = int(np.flatnonzero(inflation >= highest * (1 - _EQUAL))[-1])
        cuts.append(Cut(int(left[stays.pop(last)]), "inflated", highest, None))
    return cuts


def are_constant(
    features: Float64[np.ndarray, "sample feature"],
) -> Bool[np.ndarray, " feature"]:
    """Whether each column has one value alone, but for rounding."""
    spread, largest = np.ptp(features, axis=0), np.abs(features).max(axis=0)
    return np.asarray(spread <= _CONSTANT * largest)


def variance_inflation(
    features: Float64[np.ndarray, "sample feature"],
) -> Float64[np.ndarray, " feature"]:
    """1 / (1 - R²) of each column on all the others, at most 1e6; no column may be constant."""
    return _inflation(_correlations(features))


def _correlations(
    features: Float64[np.ndarray, "sample feature"],
) -> Float64[np.ndarray, "feature feature"]:
    centred = features - features.mean(axis=0)
    unit = centred / np.sqrt(np.square(centred).sum(axis=0))
    return np.asarray(unit.T @ unit)


def _inflation(
    correlations: Float64[np.ndarray, "feature feature"],
) -> Float64[np.ndarray, " feature"]:
    """The diagonal of the inverse, by eigenvalues: a singular matrix has one, too."""
    values, vectors = np.linalg.eigh(correlations)
    found = np.square(vectors) @ (1 / np.maximum(values, _EQUAL / HIGHEST_INFLATION))
    return np.asarray(np.minimum(found, HIGHEST_INFLATION))

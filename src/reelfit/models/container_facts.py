"""The control: what a container says of itself, without a look at a single frame.

A model on these facts alone that tells the classes apart shows that the labels leak: the videos of
one class were encoded, cut or named otherwise than those of another.
"""

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

NUMBERS = (
    "bit_rate",
    "duration_seconds",
    "file_bytes",
    "fps",
    "frame_count",
    "height",
    "pixel_aspect",
    "rotation",
    "width",
)
NAMES = ("codec", "colour_matrix", "colour_tagged", "hdr", "pixel_format", "strategy")
_MISSING = -1.0
"""Stands where a container does not say; no number that one says is negative."""

Columns = Float64[np.ndarray, "video column"]
Targets = Int64[np.ndarray, " video"]
Folds = Int64[np.ndarray, " video"]
Probabilities = Float64[np.ndarray, "video class"]


def fact_columns(index: pl.DataFrame) -> dict[str, Columns]:
    """Each fact of ``index.parquet`` as columns of numbers, a column for each name of a name."""
    columns = {}
    for fact in NUMBERS:
        values = index[fact].cast(pl.Float64).fill_null(_MISSING)
        columns[fact] = values.to_numpy()[:, None]
    for fact in NAMES:
        values = index[fact].cast(pl.String).fill_null("")
        known = values.unique().sort()
        columns[fact] = np.stack([(values == name).to_numpy() for name in known], axis=1).astype(
            np.float64
        )
    with np.errstate(invalid="ignore"):
        pixels = columns["width"] * columns["height"] * np.maximum(columns["fps"], 1.0)
    columns["bits_per_pixel"] = columns["bit_rate"] / pixels
    return columns


def predict_by_facts(
    columns: Columns, targets: Targets, folds: Folds, *, num_classes: int, seed: int
) -> Probabilities:
    """Out-of-fold probabilities by gradient boosting: each fold by what the others taught.

    Source: scikit-learn's GradientBoostingClassifier.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(min_samples_leaf=5, random_state=seed % 2**32)
    return _out_of_fold(model, columns, targets, folds, num_classes)


def predict_by_one_fact(
    columns: Columns, targets: Targets, folds: Folds, *, num_classes: int
) -> Probabilities:
    """The same by a small tree, for one fact at a time.

    Source: scikit-learn's DecisionTreeClassifier.
    """
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    return _out_of_fold(model, columns, targets, folds, num_classes)


def _out_of_fold(
    model: object, columns: Columns, targets: Targets, folds: Folds, num_classes: int
) -> Probabilities:
    from sklearn.base import clone

    found = np.zeros((len(targets), num_classes))
    for fold in np.unique(folds[folds > 0]):
        held = folds == fold
        shown = np.unique(targets[~held])
        if len(shown) == 1:  # of one class alone there is nothing to learn
            found[held, shown[0]] = 1.0
            continue
        fitted = clone(model).fit(columns[~held], targets[~held])
        found[np.ix_(held, shown)] = fitted.predict_proba(columns[held])
    return found

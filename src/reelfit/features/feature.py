"""The contract of a group of features: names, and a function of one frame that gives their values.

What several groups sum up alike stands here, too.
"""

from collections.abc import Callable
from typing import NamedTuple

from reelfit.features.frame import Frame


class FrameFeatures(NamedTuple):
    """Features that are computed together: one value per name and frame, all of them finite."""

    names: tuple[str, ...]
    measure: Callable[[Frame], tuple[float, ...]]


def variance_of(count: int, total: int | float, squares: int | float) -> float:
    """The population's variance of ``count`` values; exact where the sums are integers."""
    return max(0.0, float((count * squares - total * total) / (count * count)))

"""The probability from which a video is said to be positive, chosen where its label is no news."""

import numpy as np
from jaxtyping import Float64

from reelfit.metrics.metric import Targets


def choose_threshold(targets: Targets, scores: Float64[np.ndarray, " sample"]) -> float:
    """The threshold of the best balanced accuracy on these samples: positive is ``score >=`` it.

    It lies halfway between two scores; of equally good ones it is the one nearest to 0.5. Where
    these samples have one class alone, nothing can be chosen and it is 0.5.

    Source: Youden, Index for rating diagnostic tests (1950); his J is twice the balanced accuracy
    less 1, so that the best of one is the best of the other.
    """
    positive = targets == 1
    if positive.all() or not positive.any():
        return 0.5
    values = np.unique(scores)
    thresholds = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    found = np.sort(scores[positive]), np.sort(scores[~positive])
    missed, passed = (np.searchsorted(side, thresholds, side="left") for side in found)
    # J times both counts: a whole number, so that equals are equal
    gain = passed * len(found[0]) - missed * len(found[1])
    best = thresholds[gain == gain.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])

"""What embeddings look like beside their ranks: alignment, uniformity, norms."""

import numpy as np
import torch
from jaxtyping import Float64

from reelfit.data.seeds import generator_for
from reelfit.metrics.retrieval.features import Features
from reelfit.metrics.retrieval.right_pairs import RightPairs

ROWS_OF_UNIFORMITY = 1024


def alignment(
    scores: Float64[np.ndarray, " pair"], pairs: RightPairs, videos: Features, texts: Features
) -> float:
    """The mean cosine of right pairs.

    Source: after T. Wang and P. Isola, Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere, ICML 2020, whose distance is 2 less twice this.
    """
    lengths = videos.scaled_norms[pairs.video] * texts.scaled_norms[pairs.text]
    return float(np.mean(scores / np.where(lengths > 0, lengths, 1.0)))


def uniformity(features: Features, *, seed: int) -> float | None:
    """The logarithm of the mean of exp(-2 d^2) over pairs of different rows at unit length.

    Of more than 1,024 rows so many are drawn. 0 where all are one, about -4 where they are spread
    over a sphere of many dimensions. None for one row.

    Source: T. Wang and P. Isola, as for ``alignment``.
    """
    generator = generator_for(seed, "uniformity", features.what)
    size = min(features.count, ROWS_OF_UNIFORMITY)
    if size < 2:
        return None
    drawn = torch.from_numpy(np.sort(generator.permutation(features.count)[:size]))
    rows = torch.nn.functional.normalize(features.take(drawn), eps=1e-300).float()
    cosines = torch.mm(rows, rows.T)
    near = torch.exp((cosines - 1).mul_(4)).double()
    return float(((near.sum() - near.diagonal().sum()) / (size * (size - 1))).log())


def norms(features: Features) -> dict[str, float]:
    """Of the rows as they were given: mean, least and largest."""
    found = features.norms
    return {"mean": float(found.mean()), "min": float(found.min()), "max": float(found.max())}

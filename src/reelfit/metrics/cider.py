"""CIDEr-D: how alike captions are in the words that tell one video from the others.

Source: Vedantam, Zitnick and Parikh, CIDEr: consensus-based image description evaluation (2015),
section 5 for CIDEr-D. As in the authors' program, sequences are counted and not divided by their
number, which the norms would cancel but for what is cut off, and words are not stemmed.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

ORDERS: Final = 4
SIGMA: Final = 6.0
"""Words by which a length may differ before it costs much."""
SCALE: Final = 10.0
"""The largest value, by the paper."""

Words = Sequence[str]
Sequences = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class _Vectors:
    """A text: of each number of words a weight for each sequence, and their norms."""

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    num_words: int


def cider(
    generated: Sequence[Words], references: Sequence[Sequence[Words]]
) -> Float64[np.ndarray, " caption"]:
    """CIDEr-D of each caption, in 0..10: the mean over its references and over 1 to 4 words.

    A sequence of words weighs the logarithm of the number of captions over that of those of which a
    reference has it: what stands with all of them weighs nothing, so that of one caption alone, or
    where all references are alike, everything is 0. Captions without references are 0 and do not
    count among them.
    """
    seen = Counter(
        sequence
        for right in references
        for sequence in {each for words in right for each in _sequences(words)}
    )
    total = sum(bool(right) for right in references)

    def vectors(words: Words) -> _Vectors:
        weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for sequence, count in Counter(_sequences(words)).items():
            rarity = math.log(total / max(seen[sequence], 1))
            weights[len(sequence) - 1][sequence] = count * rarity
        norms = tuple(math.hypot(*each.values()) for each in weights)
        return _Vectors(tuple(weights), norms, len(words))

    scores = np.zeros(len(generated))
    for row, (words, right) in enumerate(zip(generated, references, strict=True)):
        if right:
            one = vectors(words)
            scores[row] = SCALE * np.mean([_likeness(one, vectors(each)) for each in right])
    return scores


def _likeness(one: _Vectors, reference: _Vectors) -> float:
    """The mean over the numbers of words of the cosine, cut off; 0 where a norm is."""
    total = 0.0
    for order in range(ORDERS):
        mine, theirs = one.weights[order], reference.weights[order]
        norm = one.norms[order] * reference.norms[order]
        if norm:
            both = mine.keys() & theirs.keys()
            shared = [min(mine[each], theirs[each]) * theirs[each] for each in both]
            total += math.fsum(shared) / norm  # exact: a set has no order, bits must not either
    difference = one.num_words - reference.num_words
    return total / ORDERS * math.exp(-(difference**2) / (2 * SIGMA**2))


def _sequences(words: Words) -> Iterator[tuple[str, ...]]:
    for order in range(1, ORDERS + 1):
        for begin in range(len(words) - order + 1):
            yield tuple(words[begin : begin + order])

"""METEOR with exact words and stems; it knows no synonyms, for which it would need WordNet.

Source: Banerjee and Lavie, METEOR: an automatic metric for MT evaluation with improved correlation
with human judgments (2005), with the parameters given there.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final

ALPHA: Final = 0.9
"""The weight of recall against precision."""
BETA: Final = 3.0
"""The power of the share of chunks."""
GAMMA: Final = 0.5
"""The largest penalty."""
OPEN: Final = 200
"""Alignments held at once: beyond it the fewest chunks are sought among the best so far alone."""

Stems = Sequence[Hashable]


def meteor(generated: Stems, references: Sequence[Stems]) -> float:
    """METEOR of a caption, in 0..1, against the reference that gives it most; all as stems.

    0 where no word is matched, or where there is none.
    """
    return max((_against(generated, reference) for reference in references), default=0.0)


def _against(generated: Stems, reference: Stems) -> float:
    matches = (Counter(generated) & Counter(reference)).total()
    if not matches:
        return 0.0
    precision, recall = matches / len(generated), matches / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    scattered = fewest_chunks(generated, reference) / matches
    return mean * (1 - GAMMA * math.pow(scattered, BETA))


def fewest_chunks(generated: Stems, reference: Stems) -> int:
    """The least number of runs of neighbouring matches in which as many as can match do.

    Words match by their stems, so equal words do as well; each matches one other.

    Source: Denkowski and Lavie, Meteor 1.3 (2011), for the choice among alignments.
    """
    left = Counter(generated)  # of each stem, from the present word on
    open_matches = left & Counter(reference)
    places: dict[Hashable, list[int]] = {}
    for place, stem in enumerate(reference):
        places.setdefault(stem, []).append(place)
    # by (places taken, place of the match before or -2): the fewest chunks so far
    states: dict[tuple[int, int], int] = {(0, -2): 0}
    for stem in generated:
        following: dict[tuple[int, int], int] = {}
        for (taken, before), chunks in states.items():
            free = [place for place in places.get(stem, []) if not taken >> place & 1]
            used = len(places.get(stem, [])) - len(free)
            for place in free if used < open_matches[stem] else []:
                key, more = (taken | 1 << place, place), chunks + (place != before + 1)
                following[key] = min(more, following.get(key, more))
            if left[stem] > open_matches[stem] - used:  # enough come later to match them all
                key = (taken, -2)
                following[key] = min(chunks, following.get(key, chunks))
        left[stem] -= 1
        if len(following) > OPEN:
            following = dict(sorted(following.items(), key=lambda item: item[1])[:OPEN])
        states = following
    return min(states.values())

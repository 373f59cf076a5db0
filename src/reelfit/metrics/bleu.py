"""BLEU from counts that add up: of one caption, of all, and of any resample of them.

Source: Papineni et al., BLEU: a method for automatic evaluation of machine translation (2002);
tokens (13a, case kept), counts and smoothing as sacrebleu has them (Post, A call for clarity in
reporting BLEU scores, 2018), against which the tests hold all values.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

ORDERS: Final = 4
"""Words in the longest sequence that is counted."""

Counts = Int64[np.ndarray, "caption 10"]
"""Of each caption: its words, those of the reference of nearest length, and of each number of words
from 1 to 4 the sequences that a reference has too, then all of them."""


def count_sequences(generated: Sequence[str], references: Sequence[Sequence[str]]) -> Counts:
    """The counts of each caption, by sacrebleu; zeros of one without a reference."""
    from sacrebleu.metrics.bleu import BLEU

    counter = BLEU(max_ngram_order=ORDERS, effective_order=True)
    counts = np.zeros((len(generated), 2 + 2 * ORDERS), dtype=np.int64)
    for row, (text, right) in enumerate(zip(generated, references, strict=True)):
        if right:
            found = counter.sentence_score(text, right)
            counts[row] = [found.sys_len, found.ref_len, *found.counts, *found.totals]
    return counts


def bleu(
    counts: Float64[np.ndarray, "row 10"], *, order: int, shorter: bool
) -> Float64[np.ndarray, " row"]:
    """BLEU-``order`` of each row of counts, in 0..1; a row may be the sum over many captions.

    Orders without a match are smoothed as NIST does: the first counts as a half, the next as a
    quarter. ``shorter``: a caption of fewer words than ``order`` is judged by the orders that it
    has, as sacrebleu does for sentences; without it, it has 0.
    """
    words, nearest = counts[:, 0], counts[:, 1]
    matched, all_of_them = counts[:, 2 : 2 + order], counts[:, 2 + ORDERS : 2 + ORDERS + order]
    missing = np.cumsum(matched == 0, axis=1)
    numerators = np.where(matched > 0, matched, 0.5**missing)
    there = all_of_them > 0
    logs = np.log(numerators / np.where(there, all_of_them, 1.0)) * there
    orders = there.sum(1) if shorter else np.full(len(counts), order)
    brevity = np.minimum(0.0, 1 - nearest / np.maximum(words, 1))
    scores = np.exp(brevity + logs.sum(1) / np.maximum(orders, 1))
    complete = (there.sum(1) >= orders) & (matched[:, 0] > 0)
    return np.where(complete, scores, 0.0)

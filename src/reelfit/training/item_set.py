"""Items, each with one or several clips and one or several right texts, and steps of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from reelfit.data.batches import ClipSource
from reelfit.data.seeds import generator_for
from reelfit.training.predicting import ClipSet

Clips = UInt8[Tensor, "clip time 3 height width"]
Read = Callable[[Int64[np.ndarray, " sample"]], tuple[Clips, list[int]]]
"""From samples to their clips, and the place in these samples that each clip belongs to."""


@dataclass(frozen=True, eq=False)
class ItemTexts:
    """The right texts of samples: those of sample ``s`` are ``rows[first[s]:first[s + 1]]``.

    ``tokens`` and ``texts`` have each unique text once. Samples of one ``number`` are positives of
    each other: their texts are the same, or belong to one item.
    """

    first: Int64[np.ndarray, " bound"]
    rows: Int64[np.ndarray, " pair"]
    numbers: Int64[np.ndarray, " sample"]
    tokens: Int64[Tensor, "text token"]
    texts: list[str]

    def of(self, sample: int) -> Int64[np.ndarray, " right"]:
        """The texts of one sample, as rows of ``tokens``."""
        begin, end = self.first[sample : sample + 2]
        return np.asarray(self.rows[begin:end], dtype=np.int64)

    def drawn(self, *, seed: int, epoch: int) -> Int64[np.ndarray, " sample"]:
        """One text of each sample, by chance where it has several."""
        counts = np.diff(self.first)
        chance = generator_for(seed, "text of item", epoch).random(len(counts))
        return np.asarray(self.rows[self.first[:-1] + (chance * counts).astype(np.int64)])


@dataclass(frozen=True, eq=False)
class ItemSet:
    """Samples: the clips of one item, all originals or all of one number of copy.

    The clips of sample ``s`` are those from ``first[s]`` to before ``first[s + 1]``.
    """

    clips: ClipSet
    first: Int64[np.ndarray, " bound"]
    texts: ItemTexts

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.first) - 1

    def reading(self, source: ClipSource) -> Read:
        """Reads the clips of some samples, one after the other."""

        def read(samples: Int64[np.ndarray, " sample"]) -> tuple[Clips, list[int]]:
            counts = self.first[samples + 1] - self.first[samples]
            spans = [np.arange(self.first[s], self.first[s + 1]) for s in samples]
            return source.read(np.concatenate(spans)).clips, np.repeat(
                np.arange(len(samples)), counts
            ).tolist()

        return read


@dataclass(frozen=True)
class Weights:
    """What each loss of a step counts."""

    contrast: float = 1.0
    caption: float = 0.0
    masked: float = 0.0


@dataclass(frozen=True, eq=False)
class ItemBatch:
    """The samples of a step, or of a part of one, whose clips are read when they are needed.

    Memory: the tokens of its texts; the clips of a part when it is read.
    """

    read: Read
    samples: Int64[np.ndarray, " sample"]
    tokens: Int64[Tensor, "sample token"]
    numbers: Int64[Tensor, " sample"]
    weights: Weights = Weights()
    hidden: Bool[Tensor, "sample clip row column"] | None = None
    """Of each clip of a sample, which tubes are hidden for masked video modelling."""

    def __len__(self) -> int:
        """How many samples it has."""
        return len(self.samples)

    def part(self, begin: int, end: int) -> "ItemBatch":
        """The samples from ``begin`` to before ``end``."""
        return replace(
            self,
            samples=self.samples[begin:end],
            tokens=self.tokens[begin:end],
            numbers=self.numbers[begin:end],
            hidden=None if self.hidden is None else self.hidden[begin:end],
        )


def numbers_of(pairs: Sequence[tuple[int, int]], num_items: int) -> Int64[np.ndarray, " item"]:
    """A number for each item, which two have in common where texts of theirs are the same.

    ``pairs`` are items and texts. An item with several texts joins all that have one of these.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    items, texts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    size = num_items + (int(texts.max()) + 1 if len(texts) else 0)
    edges = coo_matrix((np.ones(len(items)), (items, num_items + texts)), shape=(size, size))
    found = connected_components(edges, directed=False)[1][:num_items]
    return np.asarray(found, dtype=np.int64)

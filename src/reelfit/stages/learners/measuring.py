"""How well the videos and texts of a fold find each other, after an epoch."""

from typing import TYPE_CHECKING

from reelfit.metrics import RETRIEVAL

if TYPE_CHECKING:
    from reelfit.training.item_set import ItemSet
    from reelfit.training.paired import Embedded


def measured(embedded: "Embedded", samples: "ItemSet") -> dict[str, float | None]:
    """Each metric of ``RETRIEVAL``, of all samples among all texts of theirs and the other way."""
    from reelfit.metrics.retrieval import retrieval_metrics

    targets = [samples.texts.of(sample).tolist() for sample in range(len(samples))]
    found = retrieval_metrics(embedded.videos, embedded.texts, targets)
    return {
        name: found[direction][metric]  # type: ignore[index]
        for name, (direction, metric) in RETRIEVAL.items()
    }

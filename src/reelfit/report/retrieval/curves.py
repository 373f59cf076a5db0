"""The figures of what was retrieved: recall by how many answers are looked at."""

import numpy as np
import polars as pl
from jaxtyping import Float, Int64

from reelfit.report.drawing import Drawing, axes, svg_of
from reelfit.report.learning import Kept, learning_curves
from reelfit.report.palette import MUTED, NUM_LINES, line_of
from reelfit.report.retrieval.content import RetrievalContent
from reelfit.report.retrieval.ranking import DIRECTIONS, FIRST, best_folds, mean_of_both, ranked

MOST_ANSWERS = 50
_SIZE = {"width": 420, "height": 300}
_SIZES = ("right", "answers")
_MARKS = [1, 2, 5, 10, 20, 50]


def recall_curves(content: RetrievalContent) -> list[Drawing]:
    """Recall at 1 to 50 answers of every model, in each direction that has queries."""
    drawings = [_recall_curve(content, direction) for direction in DIRECTIONS]
    return [drawing for drawing in drawings if drawing is not None]


def recall_at(
    ranks: Float[np.ndarray, " queries"], ks: Int64[np.ndarray, " answers"]
) -> Float[np.ndarray, " answers"]:
    """The share of queries whose first right answer is among the first k, for each k."""
    return np.searchsorted(np.sort(ranks), ks, side="right") / ranks.size


def chance_at(
    right: Int64[np.ndarray, " queries"],
    answers: Int64[np.ndarray, " queries"],
    ks: Int64[np.ndarray, " answers"],
) -> Float[np.ndarray, " answers"]:
    """What a random order reaches: one less the chance that none of k answers is right.

    ``ks`` are 1, 2, ... Source: the hypergeometric distribution.
    """
    pairs, queries = np.unique(np.stack([right, answers]), axis=1, return_counts=True)
    taken = ks[:, None] - 1
    left = np.maximum(pairs[1] - taken, 1)
    missed = np.cumprod(np.clip((pairs[1] - pairs[0] - taken) / left, 0.0, 1.0), axis=0)
    shares: Float[np.ndarray, " answers"] = (1 - missed) @ queries / queries.sum()
    return shares


def _recall_curve(content: RetrievalContent, direction: str) -> Drawing | None:
    part = content.queries.filter(pl.col("direction") == direction)
    if not part.height:
        return None
    most = int(part["answers"].to_numpy().max())
    ks = np.arange(1, min(MOST_ANSWERS, most) + 1, dtype=np.int64)
    with axes(**_SIZE, labels=("answers looked at, k", "recall at k")) as drawn:
        first = part.filter(pl.col("model") == part["model"][0])
        right, answers = (first[name].to_numpy().astype(np.int64) for name in _SIZES)
        drawn.plot(ks, chance_at(right, answers, ks), color=MUTED, lw=0.9, ls=(0, (2, 3)))
        shown = 0
        for rank, model in enumerate(ranked(content)[:NUM_LINES]):
            ranks = part.filter(pl.col("model") == model)["rank"].to_numpy()
            if ranks.size:
                line = line_of(rank)
                drawn.plot(
                    ks,
                    recall_at(ranks, ks),
                    marker="o" if ks.size == 1 else "",
                    color=line.colour,
                    lw=line.width,
                    ls=line.linestyle,
                    clip_on=False,
                    zorder=3 - rank / 100,
                )
                shown += 1
        drawn.set_xscale("log")
        drawn.set_xlim(1, max(2, ks[-1]))
        marks = [mark for mark in _MARKS if mark <= max(2, ks[-1])]
        drawn.set_xticks(marks, [str(mark) for mark in marks])
        drawn.set_xticks([], minor=True)
        drawn.set_ylim(0, 1)
        drawn.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        words = DIRECTIONS[direction]
        label = f"Recall at 1 to {ks[-1]} answers of {shown} models, {words}."
        svg = svg_of(drawn, name=f"recall {direction}", label=label)
    return Drawing(svg, words.capitalize(), "The dotted line is a random order.")


def learned(content: RetrievalContent) -> dict[str, list[Drawing]]:
    """The learning curves of each model that has some: its loss, and R@1 of both directions."""
    both = {f"{direction}_{FIRST}": direction for direction in DIRECTIONS}
    ways = (
        content.curves.filter(pl.col("metric").is_in(list(both)))
        .with_columns(pl.col("metric").replace(both).alias("direction"), metric=pl.lit(FIRST))
        .pipe(mean_of_both, by=["model", "fold", "epoch", "phase"])
    )
    rows = [(*place, "mean_recall@1", value) for place, value in ways.items()]
    means = pl.DataFrame(rows, schema=content.curves.schema, orient="row")
    best = best_folds(content)
    kept = {}
    for model in ranked(content):
        of_model = content.kept.filter(pl.col("model") == model)
        epochs = dict(of_model.select("fold", "epoch").iter_rows())
        kept[model] = Kept(epochs, {best[model]} if model in best else set())
    curves = pl.concat([content.curves, means])
    return learning_curves(curves, metrics=("loss", "mean_recall@1"), kept=kept)

"""The figures of how each fold learned, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reelfit.report.drawing import FONT_SIZE, Drawing, axes, svg_of
from reelfit.report.palette import ACCENT, INK, MUTED
from reelfit.report.wording import count, title_of

_MOST_LABELS = 10
"""With more folds, only the best one's line is labelled."""
_SIZE = {"width": 352, "height": 230}

Ends = list[tuple[int, int, float]]
"""Of each line: its fold, and the epoch and the value at which it ends."""


class Kept(NamedTuple):
    """Of one model: the epoch whose weights each fold kept, and its best folds."""

    epochs: dict[int, int]
    best_folds: set[int]


def learning_curves(
    curves: pl.DataFrame, *, metrics: Sequence[str], kept: Mapping[str, Kept]
) -> dict[str, list[Drawing]]:
    """For each model of ``kept`` that learned by epochs: the ``metrics`` that it has.

    A model that was fitted at once has values at epoch 0 alone, and no curve.
    """
    drawings: dict[str, list[Drawing]] = {}
    for model in kept:
        of_model = curves.filter(
            (pl.col("model") == model)
            & (pl.col("epoch") > 0)
            & pl.col("metric").is_in(list(metrics))
            & pl.col("value").is_not_nan()
        ).sort("fold", "epoch")
        names = [name for name in metrics if name in of_model["metric"]]
        if names:
            drawings[model] = [_learning_curve(model, kept[model], of_model, n) for n in names]
    return drawings


def _learning_curve(model: str, kept: Kept, curves: pl.DataFrame, metric: str) -> Drawing:
    best_epochs, best_folds = kept
    of_metric = curves.filter(pl.col("metric") == metric)
    ends: Ends = []
    with axes(**_SIZE, labels=("epoch", "")) as drawn:
        for (phase, fold), part in of_metric.group_by("phase", "fold", maintain_order=True):
            epochs, values = part["epoch"].to_list(), part["value"].to_list()
            width = 2.2 if fold in best_folds else 0.9
            if phase == "train":
                drawn.plot(epochs, values, color=MUTED, lw=width, ls=(0, (4, 3)), zorder=2)
                continue
            marker = "" if len(epochs) > 1 else "o"
            drawn.plot(epochs, values, marker=marker, ms=3, color=ACCENT, lw=width, zorder=3)
            ends.append((fold, epochs[-1], values[-1]))
            if best_epochs.get(fold) in epochs:
                place = epochs.index(best_epochs[fold])
                drawn.plot(epochs[place], values[place], "o", color=ACCENT, ms=4.5, zorder=4)
        drawn.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        drawn.yaxis.set_major_locator(MaxNLocator(nbins=5))
        _label_folds(drawn, ends, best_folds)
        length = of_metric["epoch"].n_unique()
        said = f"over {count(length, 'epoch')}, a line for each of {count(len(ends), 'fold')}"
        label = f"{title_of(metric)} of {model} {said}."
        svg = svg_of(drawn, name=f"learning {model} {metric}", label=label)
    return Drawing(svg, title_of(metric))


def _label_folds(drawn: Axes, ends: Ends, best_folds: set[int]) -> None:
    """The fold's number where its line ends, moved up or down where two would overlap."""
    labelled = [end for end in ends if len(ends) <= _MOST_LABELS or end[0] in best_folds]
    if not labelled:
        return
    labelled.sort(key=lambda end: end[2])
    pixels = drawn.transData.transform([(epoch, value) for _, epoch, value in labelled])
    heights = _apart(pixels)
    for (fold, epoch, value), pixel, height in zip(labelled, pixels, heights, strict=True):
        best = fold in best_folds
        drawn.annotate(
            f"{fold}",
            (epoch, value),
            xytext=(6, height - pixel[1]),
            textcoords="offset points",
            va="center",
            color=INK if best else MUTED,
            weight="bold" if best else "normal",
            size=FONT_SIZE,
            zorder=5,
        )


def _apart(pixels: Float[np.ndarray, "ends 2"]) -> list[float]:
    """Heights for labels at ``pixels``, from the lowest up: none within a letter of another."""
    heights: list[float] = []
    for place, (x, y) in enumerate(pixels):
        below = [
            heights[before] for before in range(place) if abs(pixels[before][0] - x) < FONT_SIZE
        ]
        heights.append(max([y, *(height + FONT_SIZE for height in below)]))
    return heights

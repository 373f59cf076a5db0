"""The figures of what was predicted: ROC, precision-recall and reliability."""

from collections.abc import Callable

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int64
from matplotlib.axes import Axes
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from reelfit.report.content import ReportContent, ranked_models
from reelfit.report.drawing import Drawing, axes, svg_of
from reelfit.report.palette import MUTED, NUM_LINES, line_of

Points = tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
Hits = Bool[np.ndarray, " videos"]
Scores = Float[np.ndarray, " videos"]
Targets = Int64[np.ndarray, " videos"]
Probabilities = Float[np.ndarray, "videos classes"]

_MOST_POINTS = 1500
_SIZE = {"width": 310, "height": 300}


def roc_curves(content: ReportContent) -> Drawing | None:
    """The ROC curve of every model, or nothing where no model's is defined."""
    labels = ("false positive rate", "true positive rate")
    return _model_curves(content, roc_points, "ROC", labels)


def precision_recall_curves(content: ReportContent) -> Drawing | None:
    """The precision-recall curve of every model, or nothing where no model's is defined."""
    return _model_curves(
        content, precision_recall_points, "Precision-recall", ("recall", "precision")
    )


def reliability(content: ReportContent) -> Drawing | None:
    """How often videos scored alike were what the score said, over bins of about equal size."""
    with axes(**_SIZE, labels=("predicted probability", "observed frequency")) as drawn:
        drawn.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (2, 3)))
        shown = 0
        for rank, model in enumerate(ranked_models(content)[:NUM_LINES]):
            targets, probabilities = _scores(content, model)
            if targets.size:
                hits, scores = _confidence(targets, probabilities)
                bins = int(np.clip(targets.size // 10, 2, 10))
                observed, predicted = calibration_curve(
                    hits, scores, n_bins=bins, strategy="quantile"
                )
                _draw(drawn, (predicted, observed), rank, marker="o")
                shown += 1
        _unit_square(drawn)
        label = f"Reliability of {shown} models: observed frequency by predicted probability."
        svg = svg_of(drawn, name="reliability", label=label)
    what = f"of {content.classes[1]}" if len(content.classes) == 2 else "of the class predicted"
    note = f"Probability {what}; on the dotted line it is true."
    return Drawing(svg, "Reliability", note) if shown else None


def roc_points(targets: Targets, probabilities: Probabilities) -> Points | None:
    """The ROC curve of the positive class; of more than two classes, the mean of each one's.

    The area below it is scikit-learn's ROC AUC, of more classes its macro mean. Nothing where no
    class has both videos of its own and of others.
    """
    curves: list[Points] = []
    for hits, scores in _one_against_rest(targets, probabilities):
        false_positive_rate, true_positive_rate, _ = roc_curve(hits, scores)
        curves.append((false_positive_rate, true_positive_rate))
    if not curves:
        return None
    places = np.unique(np.concatenate([x for x, _ in curves]))
    sides = [np.mean([_height(curve, places, side) for curve in curves], axis=0) for side in (0, 1)]
    return np.repeat(places, 2), np.stack(sides, axis=1).ravel()


def _height(curve: Points, places: Float[np.ndarray, " places"], side: int) -> np.ndarray:
    """The curve just before (side 0) or just after (side 1) each place: it has upright parts."""
    x, y = curve
    found = np.searchsorted(x, places, side="right" if side else "left") - side
    found = np.minimum(found, x.size - 1)
    return np.where(x[found] == places, y[found], np.interp(places, x, y))


def precision_recall_points(targets: Targets, probabilities: Probabilities) -> Points | None:
    """The steps of precision by recall, of the classes as ``roc_points`` takes them.

    The area below them is scikit-learn's average precision. Nothing where it is not defined.
    """
    steps = []
    for pair in _one_against_rest(targets, probabilities):
        precision, recall, _ = precision_recall_curve(*pair)
        steps.append((recall[::-1], precision[::-1]))
    if not steps:
        return None
    places = np.unique(np.concatenate([recall for recall, _ in steps]))
    heights = [precision[np.searchsorted(recall, places)] for recall, precision in steps]
    # at recall 0 the library puts precision 1, which no threshold reaches: that step has no width
    return np.repeat(places, 2)[1:-1], np.repeat(np.mean(heights, axis=0)[1:], 2)


def _model_curves(
    content: ReportContent,
    points_of: Callable[[Targets, Probabilities], Points | None],
    heading: str,
    labels: tuple[str, str],
) -> Drawing | None:
    with axes(**_SIZE, labels=labels) as drawn:
        if heading == "ROC":
            drawn.plot([0, 1], [0, 1], color=MUTED, lw=0.9, ls=(0, (2, 3)))
        shown = 0
        for rank, model in enumerate(ranked_models(content)[:NUM_LINES]):
            points = points_of(*_scores(content, model))
            if points is not None:
                _draw(drawn, _thinned(points), rank)
                shown += 1
        _unit_square(drawn)
        label = f"{heading} curves of {shown} models on out-of-fold predictions."
        svg = svg_of(drawn, name=heading, label=label)
    note = "The dotted line is guessing." if heading == "ROC" else ""
    return Drawing(svg, heading, note) if shown else None


def _draw(drawn: Axes, points: Points, rank: int, *, marker: str = "") -> None:
    line = line_of(rank)
    drawn.plot(
        *points,
        marker=marker,
        ms=4.5,
        color=line.colour,
        lw=line.width,
        ls=line.linestyle,
        clip_on=False,
        zorder=3 - rank / 100,  # the best model's line lies on top
    )


def _thinned(
    points: Points,
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """At most ``_MOST_POINTS`` of them: more than a curve of 300 pixels can show."""
    size = points[0].size
    kept = np.unique(np.linspace(0, size - 1, min(size, _MOST_POINTS)).round().astype(int))
    return points[0][kept], points[1][kept]


def _scores(content: ReportContent, model: str) -> tuple[Targets, Probabilities]:
    of_model = content.predictions.filter(pl.col("model") == model)
    probabilities = np.array(of_model["probabilities"].to_list(), dtype=np.float64)
    shape = (of_model.height, len(content.classes))
    return of_model["target"].to_numpy().astype(np.int64), probabilities.reshape(shape)


def _confidence(targets: Targets, probabilities: Probabilities) -> tuple[Hits, Scores]:
    """Of two classes the positive one's score; of more, that of the class predicted."""
    if probabilities.shape[1] == 2:
        return targets == 1, probabilities[:, 1]
    return targets == probabilities.argmax(axis=1), probabilities.max(axis=1)


def _one_against_rest(targets: Targets, probabilities: Probabilities) -> list[tuple[Hits, Scores]]:
    """For each class that a curve can be drawn of: which videos are of it, and its scores."""
    num_classes = probabilities.shape[1]
    wanted = [1] if num_classes == 2 else range(num_classes)
    defined = [index for index in wanted if 0 < (targets == index).sum() < targets.size]
    return [(targets == index, probabilities[:, index]) for index in defined]


def _unit_square(drawn: Axes) -> None:
    drawn.set_xlim(0, 1)
    drawn.set_ylim(0, 1)
    drawn.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    drawn.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])

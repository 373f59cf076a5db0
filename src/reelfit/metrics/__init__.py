"""The metrics of classification: a row here, and it stands in every table and report."""

from typing import Final

from reelfit.metrics import calibration, classification, ranking
from reelfit.metrics.metric import Metric, Probabilities, Targets

METRICS: Final[dict[str, Metric]] = {
    "accuracy": Metric(classification.accuracy),
    "balanced_accuracy": Metric(classification.balanced_accuracy),
    "precision": Metric(classification.precision),
    "recall": Metric(classification.recall),
    "f1": Metric(classification.f1),
    "roc_auc": Metric(ranking.roc_auc),
    "average_precision": Metric(ranking.average_precision),
    "equal_error_rate": Metric(ranking.equal_error_rate, higher_is_better=False),
    "brier_score": Metric(calibration.brier_score, higher_is_better=False),
    "log_loss": Metric(calibration.log_loss, higher_is_better=False),
    "expected_calibration_error": Metric(
        calibration.expected_calibration_error, higher_is_better=False
    ),
    "equal_mass_calibration_error": Metric(
        calibration.equal_mass_calibration_error, higher_is_better=False
    ),
}

RETRIEVAL: Final[dict[str, tuple[str, str]]] = {
    f"{direction}_{metric}": (direction, metric)
    for direction in ("video_to_text", "text_to_video")
    for metric in ("recall@1", "recall@5", "recall@10", "median_rank", "mrr", "map", "ndcg@10")
}
"""Those of retrieval that are measured after each epoch: direction and metric by name."""


def measure(targets: Targets, probabilities: Probabilities) -> dict[str, float | None]:
    """Every metric of these predictions; None where these targets leave it undefined.

    Raises:
        ValueError: a probability is no finite number.
    """
    return {name: metric.value(targets, probabilities) for name, metric in METRICS.items()}


__all__ = ["METRICS", "RETRIEVAL", "Metric", "measure"]


def higher_is_better(metric: str) -> bool:
    """Of a metric here; of ``loss``, which every task has beside them, lower is better."""
    if metric in RETRIEVAL:
        return not metric.endswith("_rank")
    return metric != "loss" and METRICS[metric].higher_is_better

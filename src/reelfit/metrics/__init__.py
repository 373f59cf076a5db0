"""The metrics of classification: a row here, and it stands in every table and report."""

from typing import Final

from reelfit.metrics import classification as of
from reelfit.metrics.metric import Metric, Probabilities, Targets

METRICS: Final[dict[str, Metric]] = {
    "accuracy": Metric(of.accuracy),
    "balanced_accuracy": Metric(of.balanced_accuracy),
    "precision": Metric(of.precision),
    "recall": Metric(of.recall),
    "f1": Metric(of.f1),
    "roc_auc": Metric(of.roc_auc),
    "average_precision": Metric(of.average_precision),
    "equal_error_rate": Metric(of.equal_error_rate, higher_is_better=False),
    "brier_score": Metric(of.brier_score, higher_is_better=False),
}


def measure(targets: Targets, probabilities: Probabilities) -> dict[str, float | None]:
    """Every metric of these predictions; None where these targets leave it undefined."""
    return {name: metric.value(targets, probabilities) for name, metric in METRICS.items()}


__all__ = ["METRICS", "Metric", "measure"]

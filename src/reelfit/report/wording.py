"""How the report writes names, numbers and lengths of time."""

import math

_TITLES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "auc": "AUC",
    **{f"recall@{k}": f"R@{k}" for k in (1, 5, 10, 50)},
    "mean_recall@1": "R@1, mean of both directions",
    "mrr": "MRR",
    "map": "mAP",
    "ndcg@5": "nDCG@5",
    "ndcg@10": "nDCG@10",
    **{f"bleu_{n}": f"BLEU-{n}" for n in (1, 2, 3, 4)},
    **{f"rouge_{n}": f"ROUGE-{n.upper()}" for n in ("1", "2", "l")},
    "meteor": "METEOR",
    "cider": "CIDEr",
    "expected_calibration_error": "Calibration error",
    "equal_mass_calibration_error": "Calibration error, equal mass",
}
MISSING = "—"
"""Stands where a value is not defined."""


def title_of(metric: str) -> str:
    """A metric's name as a person writes it."""
    return _TITLES.get(metric, metric.replace("_", " ").capitalize())


def number(value: float | int | None, digits: int = 3) -> str:
    """``value`` with thousands separated, or a dash where there is none."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.{digits}f}"


def p_value(value: float | None) -> str:
    """``0.049``, and ``< 0.001`` for what is less: no p-value is 0."""
    return "< 0.001" if value is not None and value < 0.001 else number(value)


def interval(low: float | None, high: float | None) -> str:
    """``0.741 to 0.918``, or nothing where a bound is missing."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{number(low)} to {number(high)}"


def count(amount: int, thing: str) -> str:
    """``1 video``, ``1,200 videos``, ``2 processes``."""
    ending = "" if amount == 1 else "es" if thing.endswith("s") else "s"
    return f"{amount:,} {thing}{ending}"


def duration(seconds: float | int) -> str:
    """``8.2 s``, ``4 min 12 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last

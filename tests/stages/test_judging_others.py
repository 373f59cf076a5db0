"""The figures on another set equal those of scikit-learn, and say why one is missing."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from reelfit.metrics import METRICS
from reelfit.stages.judging import bootstrap
from reelfit.stages.judging_others import EACH, TOGETHER, judge, predictions_of_folds

CLASSES = ["real", "tampered"]
HOW = {"classes": CLASSES, "resamples": 200, "seed": 3}


def folds_of(groups: int, *, targets: list[int] | None = None) -> dict[int, pl.DataFrame]:
    """What three folds' models say of two videos for each group."""
    count = 2 * groups
    given = targets or [number % 2 for number in range(count)]
    found = {}
    for fold in (1, 2, 3):
        generator = np.random.default_rng(fold)
        scores = np.clip(np.array(given) * 0.3 + generator.uniform(0, 0.7, count), 0, 1)
        found[fold] = pl.DataFrame(
            {
                "video_id": [f"{number:032x}" for number in range(count)],
                "path": [f"{number}.mp4" for number in range(count)],
                "group": [f"g{number // 2}" for number in range(count)],
                "target": pl.Series(given, dtype=pl.Int32),
                "probabilities": np.stack([1 - scores, scores], 1).tolist(),
            },
            schema_overrides={"probabilities": pl.List(pl.Float64)},
        )
    return found


def own() -> tuple[pl.DataFrame, pl.DataFrame]:
    """An out-of-fold figure of each metric, and resamples around it."""
    summary = pl.DataFrame({"metric": list(METRICS), "out_of_fold": [0.9] * len(METRICS)})
    noise = np.random.default_rng(9).normal(0.9, 0.01, (200, len(METRICS)))
    return summary, pl.DataFrame(noise, schema=list(METRICS))


def rows_of(folds: dict[int, pl.DataFrame]) -> dict[tuple[str, str], dict[str, float | None]]:
    found = judge(predictions_of_folds(folds, "lab", "naive_cnn"), *own(), **HOW)
    return {(row["way"], row["metric"]): row for row in found.to_dicts()}


def test_values_are_means_over_folds_and_those_of_mean_probabilities() -> None:
    folds = folds_of(12)
    rows, targets = rows_of(folds), folds[1]["target"].to_numpy()
    scores = [np.array(said["probabilities"].to_list())[:, 1] for said in folds.values()]
    for metric, function in (
        ("roc_auc", roc_auc_score),
        ("brier_score", brier_score_loss),
        ("accuracy", lambda right, score: accuracy_score(right, score > 0.5)),
    ):
        each = np.mean([function(targets, score) for score in scores])
        assert rows[EACH, metric]["value"] == pytest.approx(each)
        together = function(targets, np.mean(scores, axis=0))
        assert rows[TOGETHER, metric]["value"] == pytest.approx(together)
    assert rows[EACH, "roc_auc"]["drop"] == pytest.approx(0.9 - rows[EACH, "roc_auc"]["value"])
    worse = rows[EACH, "brier_score"]
    assert worse["drop"] == pytest.approx(worse["value"] - 0.9)


def test_intervals_are_of_means_over_folds_of_one_resample() -> None:
    folds = folds_of(12)
    row = rows_of(folds)[EACH, "roc_auc"]
    drawn = [
        bootstrap(said, metrics=("roc_auc",), resamples=200, seed=3)["roc_auc"]
        for said in folds.values()
    ]
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    drops = own()[1]["roc_auc"].to_numpy() - np.mean(drawn, axis=0)
    assert row["drop_low"] == pytest.approx(np.quantile(drops, 0.025))


def test_what_is_missing_is_said_in_words() -> None:
    few = rows_of(folds_of(4))[EACH, "roc_auc"]
    assert few["value"] is not None
    assert few["low"] is None
    assert few["remark"] == "fewer than 5 groups: no interval"
    one = rows_of(folds_of(8, targets=[1] * 16))
    assert one[EACH, "roc_auc"]["value"] is None
    assert one[EACH, "roc_auc"]["drop"] is None
    assert one[EACH, "accuracy"]["low"] is not None
    assert one[EACH, "accuracy"]["remark"] == "no video of the class real is there"
    broken = folds_of(8)
    broken[2] = broken[2].with_columns(
        probabilities=pl.Series([[float("nan")] * 2] * 16, dtype=pl.List(pl.Float64))
    )
    assert rows_of(broken)[TOGETHER, "accuracy"]["remark"].startswith("a probability is no number")
    assert rows_of(broken)[TOGETHER, "accuracy"]["value"] is None

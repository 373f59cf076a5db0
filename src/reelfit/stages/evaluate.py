"""How good each model is, by predictions of videos whose group it never saw.

Reads ``<model>/fold_<k>/predictions.parquet`` -> writes ``predictions.parquet``,
``kfold_results.feather``, ``summary.parquet``.
Runs again when the training did, or the bootstrap changes. Peak memory: the predictions.
"""

from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.data.seeds import generator_for
from reelfit.files import read_json, write_whole
from reelfit.runs import Run
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters

CONFIDENCE = 0.95


@final
class Evaluate(Stage):
    """One unit per model: its intervals take the time."""

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "resamples"
    reads: ClassVar[tuple[str, ...]] = ("train",)
    writes: ClassVar[tuple[str, ...]] = (
        "predictions.parquet",
        "kfold_results.feather",
        "summary.parquet",
    )

    def settings(self, study: Study) -> Any:
        """The bootstrap and its seed."""
        return [what_matters(study.evaluate), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The models that have no summary under this key."""
        return [
            Unit(self.name, choice.id, study.evaluate.bootstrap, {"model": choice.id})
            for choice in study.models
            if not self._summary_file(run, choice.id, key).exists()
        ]

    def _summary_file(self, run: Run, model: str, key: str) -> Path:
        return run.state / "evaluate" / f"{model}.{key[:16]}.parquet"

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Each metric of one model: over folds, over all videos, and its interval."""
        from reelfit.metrics import METRICS, measure

        model = unit.facts["model"]
        predictions = _predictions(run, study, model)
        results = _fold_results(run, study, model, predictions)
        overall = measure(*_arrays(predictions))
        intervals = _bootstrap(
            predictions,
            resamples=study.evaluate.bootstrap,
            seed=study.seed,
            report_progress=context.report_progress,
        )
        best_fold = _best_fold(results)
        rows = []
        for metric in METRICS:
            values = results.filter(pl.col("metric") == metric)["value"].drop_nulls()
            low, high = intervals[metric]
            rows.append(
                {
                    "model": model,
                    "metric": metric,
                    "mean": values.mean(),
                    "standard_deviation": values.std(),
                    "out_of_fold": overall[metric],
                    "low": low,
                    "high": high,
                    "best_fold": best_fold,
                }
            )
        summary = pl.DataFrame(rows, schema=_SUMMARY_SCHEMA)
        path = self._summary_file(run, model, context.key)
        write_whole(path, summary.write_parquet)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The three tables, models in the order of the study, videos by identity."""
        from reelfit.data.tables import KFOLD_RESULTS, PREDICTIONS, SUMMARY, write_table

        predictions, results = [], []
        for choice in study.models:
            found = _predictions(run, study, choice.id)
            predictions.append(found)
            results.append(_fold_results(run, study, choice.id, found))
        summaries = [
            pl.read_parquet(self._summary_file(run, choice.id, context.key))
            for choice in study.models
        ]
        write_table(pl.concat(predictions), run.file("predictions.parquet"), PREDICTIONS)
        write_table(pl.concat(results), run.file("kfold_results.feather"), KFOLD_RESULTS)
        write_table(pl.concat(summaries), run.file("summary.parquet"), SUMMARY)


def _predictions(run: Run, study: Study, model: str) -> pl.DataFrame:
    folds = range(1, study.folds.count + 1)
    parts = [pl.read_parquet(run.fold(model, fold) / "predictions.parquet") for fold in folds]
    return pl.concat(parts).sort("video_id")


def _arrays(predictions: pl.DataFrame) -> tuple[Any, Any]:
    import numpy as np

    targets = predictions["target"].cast(pl.Int64).to_numpy()
    return targets, np.array(predictions["probabilities"].to_list(), dtype=np.float64)


def _fold_results(run: Run, study: Study, model: str, predictions: pl.DataFrame) -> pl.DataFrame:
    from reelfit.metrics import measure

    rows = []
    for fold in range(1, study.folds.count + 1):
        result = read_json(run.fold(model, fold) / "result.json")
        measured = measure(*_arrays(predictions.filter(pl.col("fold") == fold)))
        rows += [
            {
                "model": model,
                "fold": fold,
                "num_train": result["num_train"],
                "num_validation": result["num_validation"],
                "best_epoch": result["best_epoch"],
                "metric": metric,
                "value": value,
            }
            for metric, value in measured.items()
        ]
    frame = pl.DataFrame(rows, schema=_RESULTS_SCHEMA)
    return frame.with_columns(best_fold=pl.col("fold") == _best_fold(frame)).select(
        *list(_RESULTS_SCHEMA)[:5], "best_fold", "metric", "value"
    )


def _best_fold(results: pl.DataFrame) -> int:
    """The fold of the highest ROC AUC, else accuracy; the first of equals."""
    for metric in ("roc_auc", "accuracy"):
        values = results.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
        if not values.is_empty():
            best = values.sort("value", "fold", descending=[True, False])
            return int(best["fold"][0])
    return 1


def _bootstrap(
    predictions: pl.DataFrame, *, resamples: int, seed: int, report_progress: Any
) -> dict[str, tuple[float | None, float | None]]:
    """The middle 95 % of each metric over resamples of whole groups.

    Every model is judged over the same resamples. Resamples that leave a metric undefined (one
    class only) do not count for it.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals,
    clusters resampled whole.
    """
    import numpy as np
    import sklearn

    from reelfit.metrics import METRICS, measure

    targets, probabilities = _arrays(predictions)
    groups = predictions["group"].to_numpy()
    names = np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for number in range(resamples):
            drawn = generator_for(seed, "bootstrap", number).integers(len(names), size=len(names))
            rows = np.concatenate([members[group] for group in drawn])
            for metric, value in measure(targets[rows], probabilities[rows]).items():
                if value is not None:
                    found[metric].append(value)
            if number % 50 == 49:
                report_progress(number + 1, resamples)
    tail = (1 - CONFIDENCE) / 2
    return {
        metric: (
            (float(np.quantile(values, tail)), float(np.quantile(values, 1 - tail)))
            if values
            else (None, None)
        )
        for metric, values in found.items()
    }


_SUMMARY_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "metric": pl.String,
    "mean": pl.Float64,
    "standard_deviation": pl.Float64,
    "out_of_fold": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "best_fold": pl.Int32,
}
_RESULTS_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "fold": pl.Int32,
    "num_train": pl.Int64,
    "num_validation": pl.Int64,
    "best_epoch": pl.Int32,
    "metric": pl.String,
    "value": pl.Float64,
}

"""The control on demand: each model's ROC AUC where labels mean nothing."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from reelfit.data.seeds import generator_for, seed_for
from reelfit.metrics import METRICS
from reelfit.metrics.metric import Values
from reelfit.metrics.permutation import p_by_permutation, permute_labels
from reelfit.metrics.resampling import middle, number_groups
from reelfit.runs import Run
from reelfit.stages.feature_models import sides_with_features
from reelfit.stages.judging import Told, arrays
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.models.model import FeatureModel

METRIC = METRICS["roc_auc"]


def permutation_row(
    run: Run, study: Study, model: str, predictions: pl.DataFrame, *, on_progress: Told
) -> dict[str, Any]:
    """The row of one model in ``permutations.parquet``.

    A model on features is fitted anew on permuted training labels and judged by the true ones; of
    any other the predictions stay, and the labels they are judged by are permuted.
    """
    from reelfit.models import make_model
    from reelfit.models.model import FeatureModel

    choice = next(choice for choice in study.models if choice.id == model)
    made = make_model(choice.name, choice.options)
    value = METRIC.value(*arrays(predictions))
    if isinstance(made, FeatureModel):
        way, found = "refit", _refitted(run, study, made, on_progress)
    else:
        way, found = "labels", _relabelled(study, predictions, on_progress)
    low, high = middle(found)
    defined = found[~np.isnan(found)]
    return {
        "model": model,
        "way": way,
        "permutations": study.evaluate.permutations,
        "value": value,
        "mean": float(defined.mean()) if len(defined) else None,
        "low": low,
        "high": high,
        "p": None if value is None else p_by_permutation(value, found),
    }


def _relabelled(study: Study, predictions: pl.DataFrame, on_progress: Told) -> Values:
    targets, probabilities = arrays(predictions)
    groups = number_groups(predictions["group"])
    found = []
    for number in range(study.evaluate.permutations):
        generator = generator_for(study.seed, "permutation", number)
        value = METRIC.value(permute_labels(targets, groups, generator), probabilities)
        found.append(np.nan if value is None else value)
        on_progress(number + 1)
    return np.array(found)


def _refitted(run: Run, study: Study, model: "FeatureModel", on_progress: Told) -> Values:
    """Fitted on each fold with permuted training labels, judged over all folds by the true ones."""
    folds = run.folds()
    sides = [sides_with_features(run, model, fold) for fold in folds]
    classes = len(run.facts()["classes"])
    found = []
    for number in range(study.evaluate.permutations):
        true, given = [], []
        for fold, (train, validation, names) in zip(folds, sides, strict=True):
            weights = model.fit(
                train.select(names).to_numpy(),
                permute_labels(
                    train["target"].cast(pl.Int64).to_numpy(),
                    number_groups(train["group"]),
                    generator_for(study.seed, "permutation", number, fold),
                ),
                num_classes=classes,
                balanced=study.train.balance != "none",
                seed=seed_for(study.seed, "permutation", number, fold),
            )
            given.append(model.probabilities(weights, validation.select(names).to_numpy()))
            true.append(validation["target"].cast(pl.Int64).to_numpy())
        value = METRIC.value(np.concatenate(true), np.concatenate(given))
        found.append(np.nan if value is None else value)
        on_progress(number + 1)
    return np.array(found)

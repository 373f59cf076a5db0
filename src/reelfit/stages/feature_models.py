"""One model on handcrafted features fitted on one fold, and what the folds' models left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.runs import Run
from reelfit.stages.fold import metric_teller, sides_of, task_of, write_predictions
from reelfit.stages.stage import Context
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.models.collinearity import Cut
    from reelfit.models.model import FeatureModel, Weights

CUTS = "cut_features.parquet"
_KNOWN = ("video_id", "group", "target")


def fit_features(
    run: Run, study: Study, choice_id: str, model: "FeatureModel", fold: int, context: Context
) -> dict[str, Any]:
    """Fits it on the fold's training videos, and predicts the videos that it never saw."""
    import torch

    from reelfit.data.seeds import seed_for
    from reelfit.data.tables import CUT_FEATURES, write_table

    torch.set_num_threads(context.threads)
    folder = run.fold(choice_id, fold)
    train, validation, names = sides_with_features(run, model, fold)
    seed = seed_for(study.seed, "features", choice_id, fold)
    weights = _fit(run, study, model, train, names, seed=seed)
    cuts = _cut_table(model.cuts(weights), names, choice_id, fold)
    save_weights(
        folder, weights, {"features": names, "cut": cuts.select("feature", "reason").rows()}
    )
    probabilities = model.probabilities(weights, validation.select(names).to_numpy())
    tell = metric_teller(run, folder / "metrics.jsonl", choice_id, fold, context)
    targets = validation["target"].cast(pl.Int64).to_numpy()
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    for metric, value in task_of(run, study, train).metrics(targets, probabilities).items():
        tell("validation", metric, value, 0, 0)
    write_predictions(folder, validation, choice_id, fold, probabilities)
    write_table(cuts, folder / CUTS, CUT_FEATURES)
    context.report_progress(1, 1)
    return {"num_train": train.height, "num_validation": validation.height, "best_epoch": 0}


def save_weights(folder: Path, weights: "Weights", facts: dict[str, Any]) -> None:
    """The checkpoint of a model that is fitted at once, in a fold's folder."""
    import torch

    from reelfit.training.checkpoint import SUFFIX, Checkpoint, save_checkpoint

    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    for name in ("latest", "best"):
        save_checkpoint(folder / "checkpoints" / f"{name}{SUFFIX}", Checkpoint(tensors, facts))


def sides_with_features(
    run: Run, model: "FeatureModel", fold: int
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Training and validation videos of a fold with their features; names of those it looks at."""
    train, validation = (_with_features(run, rows) for rows in sides_of(run, fold))
    return train, validation, _names_for(model, train)


def judge_features(
    run: Run,
    study: Study,
    model: "FeatureModel",
    train: pl.DataFrame,
    judged: pl.DataFrame,
    *,
    seed: int,
) -> dict[str, float | None]:
    """The loss and the metrics on the videos of some clips of a model fitted on those of others."""
    import numpy as np

    train, judged = _with_features(run, train), _with_features(run, judged)
    names = _names_for(model, train)
    weights = _fit(run, study, model, train, names, seed=seed)
    probabilities = model.probabilities(weights, judged.select(names).to_numpy())
    targets = judged["target"].cast(pl.Int64).to_numpy()
    right = probabilities[np.arange(len(targets)), targets]
    loss = float(-np.log(np.maximum(right, np.finfo(np.float64).tiny)).mean())
    return {"loss": loss, **task_of(run, study, train).metrics(targets, probabilities)}


def _names_for(model: "FeatureModel", videos: pl.DataFrame) -> list[str]:
    from reelfit.features import FIRST_NAMES, SECOND_NAMES

    sets = {"first": FIRST_NAMES, "second": SECOND_NAMES, "both": videos.columns[len(_KNOWN) :]}
    return sets[model.features]


def _with_features(run: Run, clips: pl.DataFrame) -> pl.DataFrame:
    """The videos of some clips, each once, with their features after what is known of them."""
    features = pl.read_parquet(run.file("features.parquet"))
    originals = clips.filter(pl.col("copy") == 0).select(_KNOWN)
    return originals.join(features, on="video_id", maintain_order="left")


def _fit(
    run: Run,
    study: Study,
    model: "FeatureModel",
    train: pl.DataFrame,
    names: list[str],
    *,
    seed: int,
) -> "Weights":
    return model.fit(
        train.select(names).to_numpy(),
        train["target"].cast(pl.Int64).to_numpy(),
        num_classes=len(run.facts()["classes"]),
        balanced=study.train.balance != "none",
        seed=seed,
    )


def gather_cuts(run: Run, study: Study, context: Context) -> None:
    """One table of what all models on features left out, and an event for each of them."""
    from reelfit.data.tables import CUT_FEATURES, write_table

    found = []
    for choice in study.models:
        files = [run.fold(choice.id, fold) / CUTS for fold in run.folds()]
        parts = [pl.read_parquet(file) for file in files if file.exists()]
        found += parts
        if parts:
            counts = [part.height for part in parts]
            cuts = pl.concat(parts)
            reasons = cuts.group_by("reason").len().sort("reason").rows()
            context.event(
                "features_cut",
                model=choice.id,
                fewest=min(counts),
                most=max(counts),
                reasons={reason: count / len(parts) for reason, count in reasons},
            )
    table = pl.concat(found) if found else pl.DataFrame(schema=_CUT_SCHEMA)
    write_table(table, run.file(CUTS), CUT_FEATURES)


def _cut_table(cuts: list["Cut"], names: list[str], model: str, fold: int) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "fold": fold,
            "feature": names[cut.column],
            "reason": cut.reason,
            "beside": None if cut.beside is None else names[cut.beside],
            "value": cut.value,
        }
        for cut in cuts
    ]
    return pl.DataFrame(rows, schema=_CUT_SCHEMA)


_CUT_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "fold": pl.Int32,
    "feature": pl.String,
    "reason": pl.String,
    "beside": pl.String,
    "value": pl.Float64,
}

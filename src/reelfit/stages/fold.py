"""What training on one fold begins from and leaves, whatever the kind of model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.errors import StudyError
from reelfit.files import append_json_line, digest, read_json, write_json
from reelfit.runs import Run, timestamp
from reelfit.stages.leakage import require_apart, require_no_leak
from reelfit.stages.stage import Context
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.tasks.task import Task

RESULT = "result.json"
"""Written last into a unit's folder: its presence means that the unit is whole."""


def begin(folder: Path, key: str) -> None:
    """Leaves what was done under this key, and clears what was done under another."""
    mark = folder / "key.json"
    if mark.exists() and read_json(mark)["key"] == key:
        return
    if folder.exists():
        shutil.rmtree(folder)
    write_json(mark, {"key": key})


def is_whole(folder: Path, key: str) -> bool:
    """Whether the folder has the result of this key."""
    result = folder / RESULT
    return result.exists() and read_json(result)["key"] == key


def key_of(key: str, variant: int) -> str:
    """What a fold's result stands under; of a network that shrank it is another."""
    return digest([key, variant]) if variant else key


def sides_of(run: Run, fold: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and validation clips of a fold: copies are of training groups only.

    A video that has no features is seen by no model, so that all are judged over the same videos.

    Raises:
        RunError: something stands on both sides.
    """
    require_no_leak(run)
    rejected = pl.read_parquet(run.file("rejected.parquet")).filter(pl.col("stage") == "features")
    folds = pl.read_parquet(run.file("folds.parquet")).join(
        rejected, on="path", how="anti", maintain_order="left"
    )
    clips = pl.read_parquet(run.file("clips.parquet"))
    rows = clips.join(folds, on="video_id", maintain_order="left")
    validation = rows.filter((pl.col("fold") == fold) & (pl.col("copy") == 0))
    train = rows.filter(pl.col("fold") != fold)
    require_apart(train, validation, fold=fold)
    return train, validation


def hold_out(
    rows: pl.DataFrame, *, share: float, seed: int, stratified: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training clips without some groups, and the originals of those groups.

    ``stratified`` holds out so many of the groups of each target.

    Raises:
        StudyError: nothing is left to learn from.
    """
    from reelfit.data.seeds import generator_for

    held: set[str] = set()
    generator = generator_for(seed, "holdout")
    strata = [pl.lit(value=True)]
    if stratified:
        strata = [pl.col("target") == target for target in sorted(rows["target"].unique())]
    for stratum in strata:
        groups = rows.filter(stratum)["group"].unique().sort().to_list()
        count = max(1, round(share * len(groups)))
        already = sum(group in held for group in groups)
        free = [group for group in groups if group not in held]
        held.update(generator.permutation(free)[: max(0, count - already)].tolist())
    inside = pl.col("group").is_in(sorted(held))
    if rows.filter(~inside).is_empty():
        raise StudyError(
            f"a holdout of {share} of {len(held)} groups leaves none to learn from: give more "
            "groups, or leave early_stopping (or the search) out"
        )
    return rows.filter(~inside), rows.filter(inside & (pl.col("copy") == 0))


def task_of(run: Run, study: Study, train: pl.DataFrame) -> "Task":
    """The task with the study's loss; classes weighted by the inverse of their share on demand."""
    import numpy as np
    import torch

    from reelfit.tasks import TASKS

    num_classes = len(run.facts()["classes"])
    weights = None
    if study.train.balance == "class_weights" and train.height:
        counts = np.bincount(train["target"].to_numpy(), minlength=num_classes)
        weights = torch.tensor(len(train) / (num_classes * np.maximum(counts, 1))).float()
    how = study.train
    return TASKS[study.task](  # type: ignore[call-arg]
        num_classes, weights, how.label_smoothing, how.focal or 0.0
    )


def metric_teller(
    run: Run, path: Path, model: str, fold: int, context: Context
) -> Callable[[str, str, float | None, int, int], None]:
    """What takes phase, metric, value, epoch and step, and adds a line to ``path``."""

    def tell(phase: str, metric: str, value: float | None, epoch: int, step: int) -> None:
        context.memory.place.update(epoch=epoch, global_step=step)
        line = {
            "run_id": run.run_id,
            "timestamp": timestamp(),
            "step": step,
            "epoch": epoch,
            "phase": phase,
            "fold": fold,
            "model": model,
            "metric": metric,
            "value": value,
        }
        append_json_line(path, line)

    return tell


def write_predictions(
    folder: Path, validation: pl.DataFrame, model: str, fold: int, probabilities: Any
) -> None:
    """``predictions.parquet`` of one fold: a row per video that it validates."""
    from reelfit.data.tables import PREDICTIONS, write_table

    table = validation.select(
        pl.lit(model).alias("model"),
        pl.lit(fold, dtype=pl.Int32).alias("fold"),
        "video_id",
        "group",
        "target",
        pl.Series("predicted", probabilities.argmax(1), dtype=pl.Int32),
        pl.Series("probabilities", probabilities.tolist(), dtype=pl.List(pl.Float64)),
    )
    write_table(table, folder / "predictions.parquet", PREDICTIONS)

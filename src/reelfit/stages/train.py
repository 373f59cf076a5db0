"""Each model on each fold.

Reads ``folds.parquet``, ``clips.parquet``, ``features.parquet``, the shards
-> writes ``<model>/fold_<k>/``: checkpoints, ``predictions.parquet``, ``metrics.jsonl``.
Runs again when anything it reads, the model or the training settings change. Peak memory: the
network, its gradients and optimizer state, and the activations of one micro-batch.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.errors import Restart, UpdateError
from reelfit.files import append_json_line, read_json, require_room, write_json, write_text
from reelfit.memory.limits import limit_gpu_memory, limit_host_memory
from reelfit.runs import Run, timestamp
from reelfit.stages.clips import Clips
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import ModelChoice, Study, what_matters

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import FeatureModel, Network
    from reelfit.training.fit import Fit
    from reelfit.training.step import Shortage


@final
class Train(Stage):
    """One unit per model and fold; it goes on from its newest whole checkpoint."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "folds"
    reads: ClassVar[tuple[str, ...]] = ("split", "clips", "features")
    writes: ClassVar[tuple[str, ...]] = ("metrics.jsonl",)
    all_threads: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    shrinks: ClassVar[bool] = True

    def settings(self, study: Study) -> Any:
        """The models, and how they are trained."""
        return [study.task, study.seed, what_matters(study.train), what_matters_of(study.models)]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Models on folds that have no result under this key; networks first, being slowest."""
        found = []
        for choice in sorted(
            study.models, key=lambda choice: _is_network(run, choice), reverse=True
        ):
            for fold in range(1, study.folds.count + 1):
                if not _whole(run.fold(choice.id, fold), key):
                    facts = {"model": choice.id, "fold": fold}
                    found.append(Unit(self.name, f"{choice.id}/fold_{fold}", 1, facts))
        return found

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Trains one model on one fold, and predicts the videos that it never saw."""
        from reelfit.models import make_model
        from reelfit.models.model import Network

        choice = next(c for c in study.models if c.id == unit.facts["model"])
        fold = unit.facts["fold"]
        folder = run.fold(choice.id, fold)
        _begin(folder, context.key)
        model = make_model(choice.name, choice.options)
        context.memory.place.update(model=choice.id, fold=fold)
        if isinstance(model, Network):
            try:
                result = _train_network(run, study, choice, model, fold, context)
            except UpdateError as error:
                raise Restart(str(error)) from None
        else:
            result = _fit_features(run, study, model, fold, context)  # type: ignore[arg-type]
        write_json(folder / "result.json", {"key": context.key} | result)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The metrics of all units in one file, in the order of models and folds."""
        parts = []
        for choice in study.models:
            for fold in range(1, study.folds.count + 1):
                told = run.fold(choice.id, fold) / "metrics.jsonl"
                parts.append(told.read_text() if told.exists() else "")
        write_text(run.file("metrics.jsonl"), "".join(parts))


def what_matters_of(models: list[ModelChoice]) -> list[dict[str, Any]]:
    """The models as JSON values; their ids name their results, so they count."""
    return [choice.model_dump(mode="json") for choice in models]


def _is_network(run: Run, choice: ModelChoice) -> bool:
    return bool(read_json(run.file("models.json"))[choice.id]["parameters"])


def _whole(folder: Path, key: str) -> bool:
    result = folder / "result.json"
    return result.exists() and read_json(result)["key"] == key


def _begin(folder: Path, key: str) -> None:
    """Leaves what was done under this key, and clears what was done under another."""
    mark = folder / "key.json"
    if mark.exists() and read_json(mark)["key"] == key:
        return
    if folder.exists():
        shutil.rmtree(folder)
    write_json(mark, {"key": key})


def _sides(run: Run, fold: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and validation clips of a fold: copies are of training groups only."""
    folds = pl.read_parquet(run.file("folds.parquet"))
    clips = pl.read_parquet(run.file("clips.parquet"))
    rows = clips.join(folds, on="video_id", maintain_order="left")
    validation = rows.filter((pl.col("fold") == fold) & (pl.col("copy") == 0))
    return rows.filter(pl.col("fold") != fold), validation


def _hold_out(rows: pl.DataFrame, *, share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training clips without some groups of each class, and the originals of those groups."""
    from reelfit.data.seeds import generator_for

    held: set[str] = set()
    generator = generator_for(seed, "holdout")
    for target in sorted(rows["target"].unique()):
        groups = rows.filter(pl.col("target") == target)["group"].unique().sort().to_list()
        count = max(1, round(share * len(groups)))
        already = sum(group in held for group in groups)
        free = [group for group in groups if group not in held]
        held.update(generator.permutation(free)[: max(0, count - already)].tolist())
    inside = pl.col("group").is_in(sorted(held))
    return rows.filter(~inside), rows.filter(inside & (pl.col("copy") == 0))


def _clip_set(rows: pl.DataFrame) -> Any:
    from reelfit.training.predicting import ClipSet

    manifest = rows.select("shard", "offset", "bytes")
    return ClipSet(manifest, rows["target"].cast(pl.Int64).to_numpy())


def _train_network(
    run: Run, study: Study, choice: ModelChoice, model: "Network", fold: int, context: Context
) -> dict[str, Any]:
    import torch

    from reelfit.data.seeds import seed_for
    from reelfit.data.shards import ShardReader
    from reelfit.memory.rungs import Rung
    from reelfit.training.fit import Fit
    from reelfit.training.journal import StepJournal
    from reelfit.training.state import state_bytes

    torch.set_num_threads(context.threads)
    seed = seed_for(study.seed, "train", choice.id, fold)
    folder = run.fold(choice.id, fold)
    train, validation = _sides(run, fold)
    watched = None
    if study.train.early_stopping is not None:
        share = study.train.early_stopping.holdout
        train, watched = _hold_out(train, share=share, seed=seed)
    task = _task(run, study, train)
    torch.manual_seed(seed_for(seed, "weights"))
    network = model.build(num_outputs=task.num_outputs)
    files = 4 + study.train.keep_epochs  # latest, best, an epoch more, and one being written
    require_room(folder, files * state_bytes(network), what="the checkpoints of this fold")
    metrics_file = folder / "metrics.jsonl"
    batch = study.train.effective_batch
    if context.memory.budget_bytes is not None:  # after the imports, which are not the model's
        limit_host_memory(context.memory.budget_bytes)
    on_gpu = torch.cuda.is_available()
    if on_gpu and isinstance(study.memory.gpu, int):
        limit_gpu_memory(study.memory.gpu)
    with ShardReader(Clips().folder(run, study)) as reader:
        fit = Fit(
            network=network,
            task=task,
            settings=study.train,
            reader=reader,
            train=_clip_set(train),
            validation=_clip_set(validation),
            watched=None if watched is None else _clip_set(watched),
            checkpoints=folder / "checkpoints",
            seed=seed,
            device=torch.device("cuda" if on_gpu else "cpu"),
            report=_teller(run, metrics_file, choice.id, fold, context),
            metrics_file=metrics_file,
            journal=StepJournal(folder / "steps.jsonl"),
            rung=Rung(min(study.train.micro_batch or batch, batch)),
            budget_bytes=context.memory.budget_bytes or 0,
            shortages=context.shortages,
            on_shortage=_shortage_writer(folder, network, context),
            nearly_full=context.memory.pressed,
            on_event=context.event,
            should_stop=context.should_stop,
        )
        fit.on_progress = _progress_teller(fit, context)
        progress = fit.run()
        fit.use_best()
        probabilities, _ = fit.predict(fit.validation)
    _write_predictions(folder, validation, choice.id, fold, probabilities)
    return {
        "num_train": train["video_id"].n_unique(),
        "num_validation": validation.height,
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "micro_batch": progress.micro_batch,
    }


def _progress_teller(fit: "Fit", context: Context) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        batch_idx = fit.progress.position // fit.settings.effective_batch
        context.memory.place.update(epoch=fit.progress.epoch, batch_idx=batch_idx, global_step=done)
        context.report_progress(done, total)

    return tell


def _shortage_writer(
    folder: Path, network: "nn.Module", context: Context
) -> Callable[["Shortage", Any], None]:
    """Writes ``shortage_<step>.json`` with all that was known when memory ran out."""
    from reelfit.memory.shortage import describe_shortage, write_shortage

    def write(shortage: "Shortage", batch: Any) -> None:
        rung = {"samples": shortage.samples, **vars(shortage.rung), "phase": shortage.phase}
        facts = describe_shortage(
            shortage.message,
            model=network,
            batch=batch,
            place=context.memory.place | rung,
            budget_bytes=context.memory.budget_bytes,
            largest=shortage.largest,
        )
        step = context.memory.place.get("global_step") or 0
        write_shortage(folder / f"shortage_{step:06d}_{rung['micro_batch']}.json", facts)

    return write


def _fit_features(
    run: Run, study: Study, model: "FeatureModel", fold: int, context: Context
) -> dict[str, Any]:
    import torch

    from reelfit.training.checkpoint import SUFFIX, Checkpoint, save_checkpoint

    torch.set_num_threads(context.threads)
    choice_id = context.memory.place["model"]
    folder = run.fold(choice_id, fold)
    features = pl.read_parquet(run.file("features.parquet")).filter(pl.col("copy") == 0)
    names = features.columns[2:]
    sides = []
    for rows in _sides(run, fold):
        originals = rows.filter(pl.col("copy") == 0).select("video_id", "group", "target")
        sides.append(originals.join(features, on="video_id", maintain_order="left"))
    train, validation = sides
    weights = model.fit(
        train.select(names).to_numpy(),
        train["target"].cast(pl.Int64).to_numpy(),
        num_classes=len(run.facts()["classes"]),
        balanced=study.train.balance != "none",
    )
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    for name in ("latest", "best"):
        save_checkpoint(
            folder / "checkpoints" / f"{name}{SUFFIX}", Checkpoint(tensors, {"features": names})
        )
    probabilities = model.probabilities(weights, validation.select(names).to_numpy())
    tell = _teller(run, folder / "metrics.jsonl", choice_id, fold, context)
    targets = validation["target"].cast(pl.Int64).to_numpy()
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    for metric, value in _task(run, study, train).metrics(targets, probabilities).items():
        tell("validation", metric, value, 0, 0)
    _write_predictions(folder, validation, choice_id, fold, probabilities)
    context.report_progress(1, 1)
    return {"num_train": train.height, "num_validation": validation.height, "best_epoch": 0}


def _task(run: Run, study: Study, train: pl.DataFrame) -> Any:
    """The task, its classes weighted by the inverse of their share where the study says so."""
    import numpy as np
    import torch

    from reelfit.tasks import TASKS

    num_classes = len(run.facts()["classes"])
    weights = None
    if study.train.balance == "class_weights":
        counts = np.bincount(train["target"].to_numpy(), minlength=num_classes)
        weights = torch.tensor(len(train) / (num_classes * np.maximum(counts, 1))).float()
    return TASKS[study.task](num_classes, weights)  # type: ignore[call-arg]


def _teller(run: Run, path: Path, model: str, fold: int, context: Context) -> Any:
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


def _write_predictions(
    folder: Path, validation: pl.DataFrame, model: str, fold: int, probabilities: Any
) -> None:
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

"""Models as training left them on each fold, asked for videos that they have not seen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from reelfit.errors import OutOfMemoryError, Restart
from reelfit.memory.limits import room_for_file
from reelfit.runs import Run
from reelfit.stages.chosen import with_chosen
from reelfit.stages.device import device_within_limits
from reelfit.stages.embeddings import keep_embeddings
from reelfit.stages.normalising import kept_normalisation, normalise
from reelfit.stages.plans import settled_rungs
from reelfit.stages.stage import Context
from reelfit.stages.variants import read_variants
from reelfit.study import ModelChoice, Study

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from reelfit.models.model import FeatureModel, OnNetwork
    from reelfit.training.predicting import ClipSet, Predictor

BATCHES = 16
"""After so many, a unit tells how far it is, and may be asked to stop."""


def checkpoint_of(run: Run, model: str, fold: int) -> Path | None:
    """What predicts on one fold; None where the model keeps no checkpoint of its own."""
    folder = run.fold(model, fold) / "checkpoints"
    found = [folder / f"{name}.safetensors" for name in ("best", "latest")]
    return next((path for path in found if path.exists()), None)


def has_checkpoints(run: Run, model: str) -> bool:
    """Whether each fold of the model has one."""
    folds = run.folds()
    return all(checkpoint_of(run, model, fold) for fold in folds)


def predict_by_features(
    path: Path, model: "FeatureModel", features: pl.DataFrame
) -> "np.ndarray | None":
    """Probabilities of videos, a row of ``features`` each; None where it was fitted on others."""
    from reelfit.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    names = checkpoint.facts.get("features")
    if names is None or not set(names) <= set(features.columns):
        return None
    weights = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
    return model.probabilities(weights, features.select(names).to_numpy())


@dataclass(frozen=True)
class Restored:
    """A network that was trained on one fold."""

    run: Run
    study: Study
    choice: ModelChoice
    fold: int


def predict_by_network(
    restored: Restored, clips: pl.DataFrame, shards: Path, context: Context
) -> "np.ndarray":
    """Probabilities of the videos of ``clips``, which stand in the folder ``shards``.

    Raises:
        Restart: one clip does not fit beside the others' work.
    """
    with _predictor(restored, shards, context) as (predictor, frames):
        return _in_parts(clips, frames, predictor, lambda part: predictor(part)[0], context=context)


def features_before_head(
    restored: Restored, clips: pl.DataFrame, shards: Path, context: Context
) -> "np.ndarray":
    """A row for each of ``clips``, as it is stored: what the fold's network gives its head.

    By the weights that predicted the fold's videos: those of the best epoch, or their averages.

    Raises:
        Restart: one clip does not fit beside the others' work.
    """
    with (
        _predictor(restored, shards, context) as (predictor, frames),
        _without_head(predictor.network),
    ):
        return _in_parts(clips, frames, predictor, predictor.outputs, context=context)


def predict_on_network(
    path: Path,
    model: "OnNetwork",
    restored: Restored,
    clips: pl.DataFrame,
    shards: Path,
    context: Context,
) -> "np.ndarray":
    """Probabilities by what was fitted, at ``path``, on the features of a restored network.

    Raises:
        Restart: one clip does not fit beside the others' work.
    """
    from reelfit.training.checkpoint import load_checkpoint

    features = features_before_head(restored, clips, shards, context)
    weights = {name: tensor.numpy() for name, tensor in load_checkpoint(path).tensors.items()}
    return model.classifier().probabilities(weights, features)


def _in_parts(
    clips: pl.DataFrame,
    frames: int | None,
    predictor: "Predictor",
    predict: "Callable[[ClipSet], np.ndarray]",
    *,
    context: Context,
) -> "np.ndarray":
    import numpy as np

    from reelfit.training.predicting import ClipSet

    manifest = clips.select("shard", "offset", "bytes", "crc32")
    found, done = [], 0
    while done < manifest.height:
        part = manifest[done : done + BATCHES * predictor.portions.size]
        nothing_known = np.zeros(part.height, dtype=np.int64)
        try:
            found.append(predict(ClipSet(part, nothing_known, frames)))
        except OutOfMemoryError as error:  # in a fresh process, alone, there is more
            raise Restart(str(error)) from None
        done += part.height
        context.report_progress(done, manifest.height)
    return np.concatenate(found)


@contextmanager
def _without_head(network: "nn.Module") -> Iterator[None]:
    """The network gives what its head is given."""
    from torch.nn import Identity

    head = network.head
    network.head = Identity()
    try:
        yield
    finally:
        network.head = head


@contextmanager
def _predictor(
    restored: Restored, shards: Path, context: Context
) -> "Iterator[tuple[Predictor, int | None]]":
    """The network of one fold by its best epoch, and how many frames of a clip it sees."""
    import torch

    from reelfit.data.shards import ShardReader
    from reelfit.models import make_model
    from reelfit.models.model import Network
    from reelfit.tasks import TASKS
    from reelfit.training.averaging import Averages
    from reelfit.training.checkpoint import load_checkpoint
    from reelfit.training.portions import Portions
    from reelfit.training.predicting import Predictor
    from reelfit.training.state import Progress, load_weights

    torch.set_num_threads(context.threads)
    run, fold = restored.run, restored.fold
    study, choice = with_chosen(run, restored.study, restored.choice, fold)
    variant = read_variants(run)[choice.id][settled_rungs(run)[choice.id]["variant"]]
    model = make_model(choice.name, variant.options | choice.options)
    assert isinstance(model, Network)
    task = TASKS[study.task](len(run.facts()["classes"]), None)  # type: ignore[call-arg]
    device = device_within_limits(study, context)
    network = model.build(num_outputs=task.num_outputs).to(device)
    averages = None
    if study.train.ema is not None:
        averages = Averages.begin(network, decay=study.train.ema)
    path = checkpoint_of(run, choice.id, fold)
    assert path is not None
    with room_for_file(path.stat().st_size):
        checkpoint = load_checkpoint(path)
        load_weights(checkpoint.tensors, network, averages)
        progress = Progress(**checkpoint.facts)
        del checkpoint  # with it goes the mapping of its file
    keep_embeddings(run, study, model, network, frames=variant.frames)
    normalise(network, kept_normalisation(study, model, run.fold(choice.id, fold)))
    frames = variant.frames if variant.frames < study.clips.frames else None
    with (
        nullcontext() if averages is None else averages.in_place(network),
        ShardReader(shards) as reader,
    ):
        predictor = Predictor(
            network,
            task,
            reader,
            device,
            Portions(
                size=progress.predict_batch or max(progress.micro_batch, 1),
                on_shortage=lambda size, said: context.event(
                    "out_of_memory_predicting", clips=size, message=said
                ),
            ),
        )
        yield predictor, frames

"""A network as its training on one fold left it, and what it makes of clips."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from reelfit.memory.limits import limit_gpu_memory, limit_host_memory, room_for_file
from reelfit.runs import Run
from reelfit.stages.chosen import with_chosen
from reelfit.stages.clips import Clips
from reelfit.stages.fold import task_of
from reelfit.stages.networks import clip_set
from reelfit.stages.plans import settled_rungs
from reelfit.stages.stage import Context
from reelfit.stages.variants import read_variants
from reelfit.study import Study

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def features_before_head(
    run: Run, study: Study, network_id: str, fold: int, clips: pl.DataFrame, context: Context
) -> "np.ndarray":
    """A row for each clip, as it is stored: what the fold's network gives its head.

    By the weights that predicted the fold's videos: those of the best epoch, or their averages.

    Raises:
        OutOfMemoryError: one clip does not fit.
    """
    import torch

    from reelfit.data.shards import ShardReader
    from reelfit.models import make_model
    from reelfit.models.model import Network
    from reelfit.training.averaging import Averages
    from reelfit.training.checkpoint import SUFFIX, load_checkpoint
    from reelfit.training.predicting import Predictor
    from reelfit.training.state import Progress, load_weights

    torch.set_num_threads(context.threads)
    choice = next(choice for choice in study.models if choice.id == network_id)
    study, choice = with_chosen(run, study, choice, fold)
    number = settled_rungs(run).get(network_id, {}).get("variant", 0)
    variant = read_variants(run)[network_id][number]
    variant = replace(variant, options=variant.options | choice.options)
    model = make_model(choice.name, variant.options)
    assert isinstance(model, Network)
    task = task_of(run, study, clips)
    if context.memory.budget_bytes is not None:
        limit_host_memory(context.memory.budget_bytes)
    on_gpu = torch.cuda.is_available()
    if on_gpu and isinstance(study.memory.gpu, int):
        limit_gpu_memory(study.memory.gpu)
    device = torch.device("cuda" if on_gpu else "cpu")
    network = model.build(num_outputs=task.num_outputs).to(device)
    ema = study.train.ema
    averages = None if ema is None else Averages.begin(network, decay=ema)
    folder = run.fold(network_id, fold) / "checkpoints"
    best, latest = folder / f"best{SUFFIX}", folder / f"latest{SUFFIX}"
    path = best if best.exists() else latest  # no epoch is best where no metric was defined
    with room_for_file(path.stat().st_size):
        checkpoint = load_checkpoint(path)
        load_weights(checkpoint.tensors, network, averages)
    progress = Progress(**checkpoint.facts)
    del checkpoint  # with it goes the optimizer's state
    frames = variant.frames if variant.frames < study.clips.frames else None
    with (
        averages.in_place(network) if averages is not None else nullcontext(),
        _without_head(network),
        ShardReader(Clips().folder(run, study)) as reader,
    ):
        predictor = Predictor(
            network,
            task,
            reader,
            device,
            size=progress.predict_batch or max(progress.micro_batch, 1),
            on_shortage=lambda size, said: context.event(
                "out_of_memory_predicting", clips=size, message=said
            ),
            on_progress=context.report_progress,
        )
        return predictor.outputs(clip_set(clips, frames))


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

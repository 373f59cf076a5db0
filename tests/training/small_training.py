"""A Fit over noise clips, as the train stage makes one; importable by processes of its tests."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from reelfit.data.shards import Clip, ShardReader, write_shard
from reelfit.memory.rungs import Rung
from reelfit.models import make_model
from reelfit.tasks.classify import Classify
from reelfit.training.fit import Fit
from reelfit.training.journal import StepJournal
from reelfit.training.labelled import Labelled
from reelfit.training.mixing import Mixing
from reelfit.training.predicting import ClipSet
from reelfit.training.settings import TrainSettings


def clip_set(folder: Path, *, count: int, size: int, seed: int) -> ClipSet:
    """Clips of which the second class is a little brighter."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    clips = [
        Clip(
            f"{number:032x}",
            0,
            generator.integers(0, 200 + 55 * target, (4, 3, size, size), dtype=np.uint8),
            [0, 1, 2, 3],
            {},
        )
        for number, target in enumerate(targets)
    ]
    rows = write_shard(folder / f"{seed}.tar", clips)
    return ClipSet(pl.DataFrame(rows).select("shard", "offset", "bytes", "crc32"), targets)


class SmallTraining:
    """``fit()`` makes a Fit that goes on where the folder says."""

    def __init__(
        self, folder: Path, *, count: int = 21, size: int = 16, model: str = "naive_cnn",
        options: dict[str, Any] | None = None, **train: Any,
    ) -> None:  # fmt: skip
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.train = clip_set(folder, count=count, size=size, seed=1)
        self.validation = clip_set(folder, count=10, size=size, seed=2)
        self.model = make_model(model, options or {"channels": [8, 16]})
        self.settings = TrainSettings(**({"epochs": 2, "effective_batch": 8} | train))
        self.events: list[dict[str, Any]] = []
        self.told: list[tuple[Any, ...]] = []

    def fit(self, *, rung: Rung | None = None, **more: Any) -> Fit:
        torch.manual_seed(4)
        settings = self.settings
        task = Classify(2, None, settings.label_smoothing, settings.focal or 0.0)
        return Fit(
            network=self.model.build(num_outputs=2),
            objective=Labelled(task, settings.balance, Mixing.asked_by(settings, seed=3)),
            settings=settings,
            reader=ShardReader(self.folder),
            train=self.train,
            validation=self.validation,
            watched=self.validation if settings.early_stopping else None,
            checkpoints=self.folder / "checkpoints",
            seed=3,
            device=torch.device("cpu"),
            report=lambda *line: self.told.append(line),
            metrics_file=self.folder / "metrics.jsonl",
            journal=StepJournal(self.folder / "steps.jsonl"),
            rung=rung or Rung(settings.effective_batch),
            on_event=lambda name, **facts: self.events.append({"event": name, **facts}),
            **more,
        )

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.events if line["event"] == event]


class Planted:
    """An objective whose losses are ``losses`` of the network, the part and what they would be."""

    def __init__(self, of: Any, losses: Any) -> None:
        self.of = of
        self.planted = losses

    def losses(self, network: Any, part: Any) -> Any:
        return self.planted(network, part, self.of.losses)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)


def same_weights(one: Fit, other: Fit) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)

"""A Fit over noise clips with texts, as the train stage makes one; importable by processes."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from reelfit.data.shards import Clip, ShardReader, write_shard
from reelfit.memory.rungs import Rung
from reelfit.models import make_model
from reelfit.text_encoders import make_text_encoder
from reelfit.training.fit import Fit
from reelfit.training.item_set import ItemSet, ItemTexts, numbers_of
from reelfit.training.journal import StepJournal
from reelfit.training.paired import Paired
from reelfit.training.predicting import ClipSet
from reelfit.training.settings import TrainSettings
from reelfit.video_text.caption_decoder import CaptionDecoder
from reelfit.video_text.masked_video import MaskedVideo
from reelfit.video_text.network import VideoTextNetwork
from reelfit.video_text.settings import CaptionSettings, MaskedSettings, RetrieveSettings

TEXTS = ["a dark room", "a bright room", "a bright street", "at night", "by day"]
RIGHT = [[0], [1], [1, 4], [2], [0, 3], [3], [4], [2]]
"""The texts of each item; some are right for several."""
CLIPS_EACH = [1, 2, 1, 3, 1, 1, 2, 1]


def item_set(folder: Path, tokenizer: Any, *, seed: int) -> ItemSet:
    """Items whose clips are as bright as their number says."""
    generator = np.random.default_rng(seed)
    clips = []
    for item, count in enumerate(CLIPS_EACH):
        for _ in range(count):
            pixels = generator.integers(0, 60 + 24 * item, (4, 3, 16, 16), dtype=np.uint8)
            clips.append(Clip(f"{len(clips):032x}", 0, pixels, [0, 1, 2, 3], {}))
    rows = write_shard(folder / f"{seed}.tar", clips)
    owners = np.repeat(np.arange(len(CLIPS_EACH)), CLIPS_EACH)
    manifest = pl.DataFrame(rows).select("shard", "offset", "bytes", "crc32")
    pairs = [(item, text) for item, right in enumerate(RIGHT) for text in right]
    return ItemSet(
        ClipSet(manifest, owners),
        np.concatenate([[0], np.cumsum(CLIPS_EACH)]),
        ItemTexts(
            first=np.concatenate([[0], np.cumsum([len(right) for right in RIGHT])]),
            rows=np.array([text for _, text in pairs]),
            numbers=numbers_of(pairs, len(RIGHT)),
            tokens=tokenizer.encode(TEXTS),
            texts=TEXTS,
        ),
    )


class SmallPairs:
    """``fit()`` makes a Fit that goes on where the folder says."""

    def __init__(self, folder: Path, *, dropout: float = 0.1, **train: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        options = {"width": 32, "layers": 1, "heads": 2, "vocabulary": 300, "length": 12}
        self.encoder = make_text_encoder("text_transformer", options | {"dropout": dropout})
        self.tokenizer = self.encoder.tokenizer(TEXTS)
        self.train = item_set(folder, self.tokenizer, seed=1)
        self.validation = item_set(folder, self.tokenizer, seed=2)
        self.dropout = dropout
        self.settings = TrainSettings(**({"epochs": 2, "effective_batch": 5} | train))
        self.how = RetrieveSettings(
            dimensions=16,
            width=24,
            segments=2,
            caption=CaptionSettings(width=16, layers=1, heads=2, dropout=dropout),
            masked=MaskedSettings(grid=2, cells=1, steps=2, hidden=16),
        )
        self.told: list[tuple[Any, ...]] = []
        self.events: list[dict[str, Any]] = []

    def network(self) -> VideoTextNetwork:
        torch.manual_seed(4)
        caption = CaptionDecoder(
            vocabulary=self.tokenizer.size, width=16, layers=1, heads=2,
            length=self.tokenizer.length, memory_width=24, dropout=self.dropout,
        )  # fmt: skip
        model = make_model("naive_cnn", {"channels": [8, 16], "dropout": self.dropout})
        return VideoTextNetwork(
            model.build(num_outputs=24),
            self.encoder.build(self.tokenizer),
            dimensions=16,
            segments=2,
            caption=caption,
            masked=MaskedVideo(width=24, grid=2, cells=1, steps=2, hidden=16),
        )

    def objective(self) -> Paired:
        return Paired(
            settings=self.how,
            pad=self.tokenizer.pad,
            length=self.tokenizer.length,
            effective_batch=self.settings.effective_batch,
            epochs=self.settings.epochs,
            most_clips=max(CLIPS_EACH),
        )

    def fit(self, *, rung: Rung | None = None, **more: Any) -> Fit:
        return Fit(
            network=self.network(),
            objective=self.objective(),
            settings=self.settings,
            reader=ShardReader(self.folder),
            train=self.train,
            validation=self.validation,
            watched=None,
            checkpoints=self.folder / "checkpoints",
            seed=3,
            device=torch.device("cpu"),
            report=lambda *line: self.told.append(line),
            metrics_file=self.folder / "metrics.jsonl",
            journal=StepJournal(self.folder / "steps.jsonl"),
            rung=rung or Rung(self.settings.effective_batch),
            on_event=lambda name, **facts: self.events.append({"event": name, **facts}),
            **more,
        )

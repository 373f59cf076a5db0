"""A run as training leaves it: 60 videos of 30 sources, two models, facts of containers."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from reelfit.data.tables import DUPLICATES, FOLDS, INDEX, PREDICTIONS
from reelfit.files import write_json
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run
from reelfit.stages.evaluate import Evaluate
from reelfit.stages.listed import listing_of
from reelfit.stages.stage import Context
from reelfit.study import Study

NUM_VIDEOS, NUM_FOLDS = 60, 5
TARGETS = np.arange(NUM_VIDEOS) % 2
KEY = "k" * 64
FACTS = {"classes": ["real", "tampered"], "folds": list(range(1, NUM_FOLDS + 1)), "threads": 1}


def typed(rows: list[dict[str, Any]], schema: Any) -> pl.DataFrame:
    types = {name: column.dtype.type for name, column in schema.columns.items()}
    return pl.DataFrame(rows, schema=types)


class Judged:
    """A run, its study, and what the evaluation is made to write of them."""

    def __init__(self, folder: Path, **evaluate: Any) -> None:
        self.folder = folder
        self.generator = np.random.default_rng(0)
        self.study = Study.model_validate(
            {
                "videos": {"table": folder / "videos.csv", "group": "source"},
                "models": ["handcrafted_logistic", "naive_cnn"],
                "folds": {"count": NUM_FOLDS},
                "evaluate": {"bootstrap": 100, **evaluate},
            }
        )
        self.run = Run(folder / "runs" / "study" / "run_1")
        self.run.folder.mkdir(parents=True)
        self.bit_rates = self.generator.integers(1000, 9000, NUM_VIDEOS)
        self.skills = {"handcrafted_logistic": 0.5, "naive_cnn": 2.0}

    def write(self) -> "Judged":
        """What the stages before the evaluation leave."""
        numbers = range(NUM_VIDEOS)
        videos = pl.DataFrame(
            [
                {
                    "path": f"{number:02d}.mp4",
                    "label": "real" if number % 2 == 0 else "tampered",
                    "source": f"source_{number // 2:02d}",
                    "platform": ["web", "phone", "", "tv"][min(number // 24, 3)],
                    "kind": "rare" if number < 4 else "tampered alone" if number % 2 else "mixed",
                }
                for number in numbers
            ]
        )
        videos.write_csv(self.folder / "videos.csv")
        ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in numbers]
        names = videos.select("path", "label", group="source").to_dicts()
        rows = [
            row | {"video_id": ids[n], "target": n % 2, "fold": n // 2 % NUM_FOLDS + 1, "copy": 0}
            for n, row in enumerate(names)
        ]
        folds = typed([{name: row[name] for name in FOLDS.columns} for row in rows], FOLDS)
        folds = folds.sort("video_id")
        folds.write_parquet(self.run.file("folds.parquet"))
        typed([], DUPLICATES).write_parquet(self.run.file("duplicates.parquet"))
        folds.select("video_id", copy=pl.lit(0)).write_parquet(self.run.file("clips.parquet"))
        schema = {"path": pl.String, "stage": pl.String}
        pl.DataFrame(schema=schema).write_parquet(self.run.file("rejected.parquet"))
        index = [row | self.facts(number) for number, row in enumerate(rows)]
        typed([{name: row[name] for name in INDEX.columns} for row in index], INDEX).write_parquet(
            self.run.file("index.parquet")
        )
        noise = self.generator.normal(0, 1, (NUM_VIDEOS, 3)) + TARGETS[:, None] * [1.5, 0, 0]
        by_id = dict(zip(ids, noise, strict=True))
        features = pl.DataFrame(
            {f"f{n}": [by_id[video][n] for video in folds["video_id"]] for n in range(3)}
        )
        features.insert_column(0, folds["video_id"]).write_parquet(
            self.run.file("features.parquet")
        )
        write_json(self.run.file("run.json"), FACTS)
        for model, skill in self.skills.items():
            self.predict(model, folds, skill)
        return self

    def facts(self, number: int) -> dict[str, Any]:
        """What the index says of one video."""
        return {
            "width": 1920 if number < 30 else 640,
            "height": 1080 if number < 30 else 360,
            "fps": 30.0,
            "frame_count": 90,
            "duration_seconds": 3.0,
            "codec": "h264",
            "pixel_format": "yuv420p",
            "bit_rate": int(self.bit_rates[number]),
            "rotation": 0,
            "pixel_aspect": 1.0,
            "colour_matrix": "bt709",
            "colour_tagged": True,
            "hdr": False,
            "strategy": "groups",
            "file_bytes": 10_000 + number // 2,
        }

    def predict(self, model: str, folds: pl.DataFrame, skill: float) -> None:
        """Predictions of each fold; those of too firm a model."""
        targets = folds["target"].to_numpy()
        logits = 3 * (skill * (targets - 0.5) + self.generator.normal(0, 1, NUM_VIDEOS))
        positive = 1 / (1 + np.exp(-logits))
        table = folds.with_columns(
            model=pl.lit(model),
            predicted=pl.Series(positive > 0.5).cast(pl.Int32),
            probabilities=pl.Series([[1 - p, p] for p in positive], dtype=pl.List(pl.Float64)),
        ).select(*PREDICTIONS.columns)
        for fold in range(1, NUM_FOLDS + 1):
            own = self.run.fold(model, fold)
            own.mkdir(parents=True)
            part = table.filter(pl.col("fold") == fold)
            part.write_parquet(own / "predictions.parquet")
            sizes = {"num_train": NUM_VIDEOS - part.height, "num_validation": part.height}
            write_json(own / "result.json", {"key": KEY, "best_epoch": 1, **sizes})

    def evaluate(self) -> "Judged":
        """All units of the stage, then its tables."""
        stage, listing = Evaluate(), listing_of(self.study)
        self.told: list[tuple[int, int]] = []
        context = Context(
            key=KEY,
            threads=1,
            memory=MemoryLog(self.run.file("memory.jsonl"), {}, budget_bytes=None),
            report_progress=lambda done, total: self.told.append((done, total)),
            event=lambda *_args, **_facts: None,
            should_stop=lambda: False,
        )
        for unit in stage.units(self.run, self.study, listing, key=KEY):
            stage.work(self.run, self.study, unit, context)
        assert stage.units(self.run, self.study, listing, key=KEY) == []
        stage.gather(self.run, self.study, listing, context)
        assert all(self.run.file(name).exists() for name in stage.writes)
        return self

    def table(self, name: str) -> pl.DataFrame:
        """A table of the run."""
        return pl.read_parquet(self.run.file(f"{name}.parquet"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Judged]:
    """``trained(permutations=10)``: a run before its evaluation, not yet written."""

    def make(**evaluate: Any) -> Judged:
        return Judged(tmp_path_factory.mktemp("trained"), **evaluate)

    return make


@pytest.fixture(scope="session")
def evaluated_run(trained: Callable[..., Judged]) -> Judged:
    """A run whose labels show in no container fact."""
    return trained(subsets=["platform", "kind"], permutations=19).write().evaluate()

"""Videos that have one label each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.metrics import METRICS
from reelfit.runs import Run
from reelfit.stages.fold import task_of, write_predictions
from reelfit.stages.learners.learner import Learner
from reelfit.stages.online import in_epochs, with_copies
from reelfit.study import Study

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import Network
    from reelfit.training.fit import Fit
    from reelfit.training.objective import Objective
    from reelfit.training.predicting import ClipSet


@final
class Labelling(Learner):
    """Each clip is a sample, and its target is its label's number."""

    metrics: ClassVar[tuple[str, ...]] = tuple(METRICS)
    stratified: ClassVar[bool] = True

    @classmethod
    def to_rehearse(cls, run: Run, study: Study) -> "Labelling":
        """With no rows: classes are weighted alike, which changes no memory."""
        return cls(run, study, pl.DataFrame({"target": []}, schema={"target": pl.Int32}))

    def check(self) -> None:
        """There is nothing beside it."""

    def refusal_of(self, *, frames: int, size: tuple[int, int]) -> str | None:
        """The model's own needs are met by its clips."""
        return None

    def build(self, model: "Network") -> "nn.Module":
        """The model itself, with one output for each class."""
        return model.build(num_outputs=len(self.run.facts()["classes"]))

    def seeing(self, network: "nn.Module") -> "nn.Module":
        """All of it."""
        return network

    def rate_factors(self, model: "Network", network: "nn.Module") -> dict[str, float]:
        """Those of the model."""
        from reelfit.training.rates import factors_of

        return factors_of(model, network, layer_decay=self.study.train.layer_decay)

    def objective(self, *, seed: int) -> "Objective":
        """The task's own loss of each sample."""
        from reelfit.training.labelled import Labelled
        from reelfit.training.mixing import Mixing

        task = task_of(self.run, self.study, self.train)
        mixing = Mixing.asked_by(self.study.train, seed=seed)
        return Labelled(task, self.study.train.balance, mixing)

    def training_set(self, rows: pl.DataFrame, frames: int | None) -> "ClipSet":
        """Where the store has originals alone, as many rows as if it had copies."""
        from dataclasses import replace

        rows = with_copies(rows, self.study)
        groups = rows["group"].rank("dense").cast(pl.Int64).to_numpy()
        return replace(
            self.judged_set(rows, frames), groups=groups, in_epoch=in_epochs(rows, self.study)
        )

    def judged_set(self, rows: pl.DataFrame, frames: int | None) -> "ClipSet":
        """Clips as they are stored."""
        from reelfit.training.predicting import ClipSet

        manifest = rows.select("shard", "offset", "bytes", "crc32")
        return ClipSet(manifest, rows["target"].cast(pl.Int64).to_numpy(), frames)

    def keep(
        self,
        folder: Path,
        rows: pl.DataFrame,
        model: str,
        fold: int,
        fit: "Fit",
        predicted: Any,
    ) -> None:
        """``predictions.parquet``: the probabilities of each video."""
        probabilities, _ = predicted
        write_predictions(folder, rows, model, fold, probabilities)

"""What a task makes of the videos of a fold: a network, an objective, sets of samples, files."""

from abc import ABC, abstractmethod
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from reelfit.runs import Run
from reelfit.study import Study

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import Network
    from reelfit.training.fit import Fit
    from reelfit.training.objective import Objective


class Learner(ABC):
    """The task of a study on one fold, by the rows that are trained on."""

    metrics: ClassVar[tuple[str, ...]]
    """What is measured after each epoch, beside ``loss``."""
    stratified: ClassVar[bool]
    """Whether videos are held out of each target by itself."""

    def __init__(self, run: Run, study: Study, train: pl.DataFrame) -> None:
        self.run = run
        self.study = study
        self.train = train

    @classmethod
    @abstractmethod
    def to_rehearse(cls, run: Run, study: Study) -> "Learner":
        """One that only rehearses and counts, before there is a fold."""

    @abstractmethod
    def check(self) -> None:
        """Looks whether what the task has beside the model can be built.

        Raises:
            StudyError: it cannot; its place is where in the study it is asked.
        """

    @abstractmethod
    def refusal_of(self, *, frames: int, size: tuple[int, int]) -> str | None:
        """Why clips of this shape cannot be learnt from; None where they can."""

    @abstractmethod
    def build(self, model: "Network") -> "nn.Module":
        """The network that is trained; its initial weights come from torch's generator."""

    @abstractmethod
    def seeing(self, network: "nn.Module") -> "nn.Module":
        """The part of the network that is given clips."""

    @abstractmethod
    def rate_factors(self, model: "Network", network: "nn.Module") -> dict[str, float]:
        """Of parameters that learn at another rate than the study's: name and factor.

        Raises:
            StudyError: layers are to decay, and the model says of none how deep it is.
        """

    @abstractmethod
    def objective(self, *, seed: int) -> "Objective":
        """How the network learns, and what it is asked."""

    @abstractmethod
    def training_set(self, rows: pl.DataFrame, frames: int | None) -> Sized:
        """Samples to learn from, by their rows of folds and manifest; ``frames`` of each clip."""

    @abstractmethod
    def judged_set(self, rows: pl.DataFrame, frames: int | None) -> Sized:
        """Samples to be judged by, of originals alone."""

    @abstractmethod
    def keep(
        self,
        folder: Path,
        rows: pl.DataFrame,
        model: str,
        fold: int,
        fit: "Fit",
        predicted: Any,
    ) -> None:
        """Writes what was predicted of the rows that the fold validates."""

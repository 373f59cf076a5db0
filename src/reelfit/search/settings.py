"""What a search may try. No optuna here: the parent process reads these."""

from typing import Any, Literal

from pydantic import Field, model_validator

from reelfit.settings import Settings

OF_TRAINING = "train"
"""What settings of training begin with; others begin with the id of their model."""


class Range(Settings):
    """Every number between two; whole ones where both are whole."""

    low: int | float
    """The lowest number."""
    high: int | float
    """The highest number; it may be tried itself."""
    log: bool = False
    """Whether each tenfold is as likely as the next, as for learning rates."""

    @model_validator(mode="after")
    def _low_first(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}: give low < high")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs numbers above 0, and low is {self.low}")
        return self


Choices = Range | list[Any]


class SearchSettings(Settings):
    """A search for the settings of each model on each fold, among that fold's training videos."""

    trials: int = Field(default=20, ge=1)
    """How many combinations are tried for each model on each fold."""
    space: dict[str, Choices] = Field(min_length=1)
    """By setting (train.learning_rate, or naive_cnn.dropout for one model alone): a list of values,
    or low and high."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How the next combination is chosen: by what the ones before it gave, by chance, or each
    combination of the lists in turn."""
    metric: str = "roc_auc"
    """What is to be best: loss, or a metric of the task."""
    holdout: float = Field(default=0.25, gt=0, lt=0.5)
    """The share of the training groups that judges the trials; the fold's own videos never do."""
    prune: bool = True
    """Whether a trial ends early that is worse after an epoch than half of those before it."""

    @model_validator(mode="after")
    def _can_be_listed(self) -> "SearchSettings":
        for place, choices in self.space.items():
            if "." not in place:
                raise ValueError(
                    f"space: {place}: write train.{place} for a setting of training, or MODEL."
                    f"{place} for an option of a model"
                )
            if isinstance(choices, list) and not choices:
                raise ValueError(f"space: {place}: the list is empty")
            if self.sampler == "grid" and isinstance(choices, Range):
                raise ValueError(f"space: {place}: a grid needs a list of values, not a range")
        return self

    def space_of(self, model: str) -> dict[str, Choices]:
        """What concerns the model of this id: its own options and the training's settings."""
        owners = (OF_TRAINING, model)
        return {
            place: choices
            for place, choices in sorted(self.space.items())
            if place.partition(".")[0] in owners
        }

"""The settings that a search has chosen for a model on a fold, laid over those of the study."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reelfit.errors import StudyError
from reelfit.files import read_json
from reelfit.runs import Run
from reelfit.search.proposal import count_trials
from reelfit.search.settings import OF_TRAINING
from reelfit.stages.fold import RESULT
from reelfit.study import ModelChoice, Study
from reelfit.training.settings import TrainSettings


def folder_of(run: Run, model: str, fold: int) -> Path:
    """Where the search of one model on one fold stands."""
    return run.folder / "search" / model / f"fold_{fold}"


def with_chosen(
    run: Run, study: Study, choice: ModelChoice, fold: int
) -> tuple[Study, ModelChoice]:
    """The study and the model with what the search found for this fold, if there was one."""
    if study.search is None or not count_trials(study.search, choice.id):
        return study, choice
    return lay_over(study, choice, read_json(folder_of(run, choice.id, fold) / RESULT)["values"])


def lay_over(
    study: Study, choice: ModelChoice, values: dict[str, Any]
) -> tuple[Study, ModelChoice]:
    """The study and the model with these values of a search's space.

    Raises:
        StudyError: the study cannot have a value; names it.
    """
    tree = study.model_dump(mode="json")
    train, options = tree["train"], choice.model_dump(mode="json")
    for place, value in values.items():
        owner, _, name = place.partition(".")
        inner = train if owner == OF_TRAINING else options
        *sections, last = name.split(".")
        for section in sections:
            inner = inner[section] = dict(inner.get(section) or {})
        inner[last] = value
    try:
        laid_over = study.model_copy(update={"train": TrainSettings.model_validate(train)})
        return laid_over, ModelChoice.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise StudyError(
            f"search.space: train.{name} = {first['input']!r}: {first['msg']}",
            place=("search", "space"),
        ) from None

"""Models that learn from what other models have learnt, and whether those are in the study."""

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from reelfit.errors import StudyError
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.models.ensemble import Ensemble
    from reelfit.models.model import Model


def require_founded(study: Study, made: "Mapping[str, Model]", *, folds: int) -> None:
    """Looks at each of them; ``made`` has every model of the study by its id.

    Raises:
        StudyError: one asks for a model that is not there or that it cannot learn from, or a search
            has options of it: what it learns from is there after all searches only; or it learns
            from the predictions of other folds, and there is one alone.
    """
    from reelfit.models.ensemble import Ensemble
    from reelfit.models.model import FeatureModel, Network, OnNetwork

    networks = [name for name, model in made.items() if isinstance(model, Network)]
    for number, (name, model) in enumerate(made.items()):
        if isinstance(model, Network | FeatureModel):
            continue
        if isinstance(model, OnNetwork):
            model.classifier()
            if model.model not in networks:
                known = ", ".join(networks) or "none"
                raise StudyError(
                    f"models: {name}: {model.model} is not the id of a network in this study; "
                    f"networks: {known}",
                    place=("models", number),
                )
        else:
            assert isinstance(model, Ensemble)
            _require_members(name, model, study, made, number)
            if folds < 2 and model.how != "mean":
                raise StudyError(
                    f"models: {name}: how: {model.how} is learnt from the predictions of the other "
                    "folds, and folds.column says one test alone: write how: mean",
                    place=("models", number),
                )
        searched = [] if study.search is None else study.search.space
        if any(place.partition(".")[0] == name for place in searched):
            raise StudyError(
                f"search.space: {name} learns from other models when all searches have ended: take "
                "its options out of the space",
                place=("search", "space"),
            )


def members_of(model: "Ensemble", study: Study, *, ensembles: Container[str]) -> list[str]:
    """The ids of an ensemble's members, in the order of the study."""
    return [
        choice.id
        for choice in study.models
        if choice.id not in ensembles and (model.of is None or choice.id in model.of)
    ]


def _require_members(
    name: str, model: "Ensemble", study: Study, made: "Mapping[str, Model]", number: int
) -> None:
    ensembles = {other for other, one in made.items() if one.kind == "ensemble"}
    members = members_of(model, study, ensembles=ensembles)
    known = ", ".join(other for other in made if other not in ensembles) or "none"
    wrong = [other for other in model.of or () if other not in members]
    why = f"{wrong[0]} is not the id of a model that" if wrong else "there are fewer than two that"
    if wrong or len(members) < 2:
        raise StudyError(
            f"models: {name}: {why} an ensemble can be of; known: {known}",
            place=("models", number),
        )

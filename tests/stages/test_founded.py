"""Whether what a model learns from is there, said before anything is decoded."""

from typing import Any

import pytest

from reelfit.errors import StudyError
from reelfit.models import make_model
from reelfit.models.ensemble import Ensemble
from reelfit.stages.founded import members_of, require_founded
from reelfit.study import Study


def check(*models: Any, folds: int = 5, **more: Any) -> Study:
    study = Study.model_validate({"videos": {"table": "v.csv"}, "models": list(models), **more})
    made = {choice.id: make_model(choice.name, choice.options) for choice in study.models}
    require_founded(study, made, folds=folds)
    return study


def test_the_short_way_and_the_long_one_are_the_same():
    long = {"name": "logistic_on", "model": "r2plus1d", "inverse_penalty": 1.0}
    short = {"logistic_on": "r2plus1d", "inverse_penalty": 1.0}
    found = [check("r2plus1d", each).models for each in (long, short)]
    assert found[0] == found[1]
    assert found[0][1].id == "logistic_on_r2plus1d"
    named = check("r2plus1d", {"xgboost_on": "r2plus1d", "id": "mine"})
    assert named.models[1].id == "mine"


@pytest.mark.parametrize("asked", ["r2plus1", "handcrafted_logistic"])
def test_what_is_no_network_of_the_study_is_named(asked):
    with pytest.raises(StudyError, match=f"{asked} is not the id of a network.*: r2plus1d") as told:
        check("r2plus1d", "handcrafted_logistic", {"logistic_on": asked})
    assert told.value.place == ("models", 2)


@pytest.mark.parametrize(
    ("ensemble", "said"),
    [
        ({"of": ["r2plus1d", "r3d"]}, "r3d is not the id of a model"),
        ({"of": ["r2plus1d", "again"]}, "again is not the id of a model"),
        ({}, "fewer than two"),
    ],
)
def test_an_ensemble_is_of_two_models_of_the_study_or_more(ensemble, said):
    again = {"name": "ensemble", "id": "again"}
    with pytest.raises(StudyError, match=f"{said}.*known: r2plus1d$"):
        check("r2plus1d", {"name": "ensemble", **ensemble}, again)


def test_an_ensemble_is_of_all_others_unless_they_are_ensembles():
    study = check("naive_cnn", "ensemble", {"logistic_on": "naive_cnn"}, "r2plus1d")
    others = ["naive_cnn", "logistic_on_naive_cnn", "r2plus1d"]
    assert members_of(Ensemble(), study, ensembles={"ensemble"}) == others
    some = Ensemble(of=("r2plus1d", "naive_cnn"))
    assert members_of(some, study, ensembles={"ensemble"}) == ["naive_cnn", "r2plus1d"]


def test_a_search_cannot_have_options_of_what_comes_after_it():
    space = {"logistic_on_r2plus1d.inverse_penalty": [0.1, 1.0]}
    with pytest.raises(StudyError, match="when all searches have ended"):
        check("r2plus1d", {"logistic_on": "r2plus1d"}, search={"space": space})


def test_an_ensemble_that_learns_needs_predictions_of_other_folds():
    learning = {"name": "ensemble", "how": "stacked"}
    with pytest.raises(StudyError, match="column says one test alone") as told:
        check("naive_cnn", "r2plus1d", learning, folds=1)
    assert told.value.place == ("models", 2)
    assert check("naive_cnn", "r2plus1d", "ensemble", folds=1).models[2].name == "ensemble"

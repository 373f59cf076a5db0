"""A recipe in which an option would do nothing is refused, with what to do."""

from typing import Any

import pytest
from pydantic import ValidationError

from reelfit.training.optimizer import Descent
from reelfit.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"momentum": 0.9}, "momentum is SGD's: give optimizer: sgd"),
        ({"nesterov": True}, "nesterov needs optimizer: sgd"),
        ({"optimizer": "sgd", "momentum": 0, "nesterov": True}, "a momentum above 0"),
        ({"decay_vectors": True, "weight_decay": 0}, "does nothing without weight_decay"),
        ({"schedule": "step"}, "needs drop_every"),
        ({"drop_every": 5}, "drop_every and drop_factor are of schedule: step"),
        ({"drop_factor": 0.5}, "drop_every and drop_factor are of schedule: step"),
        ({"mixup": 0.2, "effective_batch": 1}, "partners are of one step"),
        ({"cutmix": 0.2, "effective_batch": 1}, "partners are of one step"),
        ({"optimizer": "adam"}, "'adamw' or 'sgd'"),
        ({"schedule": "poly"}, "'one_cycle'"),
        ({"ema": 1.0}, "less than 1"),
        ({"layer_decay": 1.0}, "less than 1"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"focal": 0}, "greater than 0"),
        ({"mix_up": 0.2}, "Extra inputs"),
    ],
)
def test_an_option_that_does_nothing_or_is_unknown_is_refused(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainSettings(**asked)


def test_what_is_not_asked_for_is_off() -> None:
    settings = TrainSettings()
    off = ("momentum", "layer_decay", "focal", "mixup", "cutmix", "ema", "early_stopping")
    assert {getattr(settings, name) for name in off} == {None}
    assert (settings.optimizer, settings.schedule) == ("adamw", "cosine")
    assert settings.label_smoothing == 0
    assert (settings.nesterov, settings.decay_vectors) == (False, False)


def test_sgd_has_momentum_unless_it_is_told_otherwise() -> None:
    asked = [{}, {"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0}]
    found = [Descent.asked_by(TrainSettings(**each)) for each in asked]
    assert [(each.name, each.momentum) for each in found] == [
        ("adamw", 0.0), ("sgd", 0.9), ("sgd", 0.0),
    ]  # fmt: skip


def test_a_recipe_written_out_in_full_is_the_same_recipe() -> None:
    for asked in ({}, {"schedule": "one_cycle"}, {"schedule": "step", "drop_every": 3}):
        settings = TrainSettings(**asked)
        assert TrainSettings(**settings.model_dump()) == settings

"""What a search tries next is a function of its seed and of what it tried before."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reelfit.search.proposal import Proposal, Tried, best_of, count_trials
from reelfit.search.settings import Range, SearchSettings

SPACE = {
    "train.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "net.blocks": {"low": 1, "high": 6},
    "net.channels": [[8, 16], [16, 32], [32, 64]],
    "other.dropout": [0.1, 0.2],
}


def search(**more: object) -> SearchSettings:
    return SearchSettings.model_validate({"space": SPACE, **more})


def proposal(asked: SearchSettings, history: list[Tried], *, seed: int = 0) -> Proposal:
    return Proposal(asked, "net", history, higher_is_better=True, seed=seed)


def worth(values: dict[str, object]) -> float:
    """Best at a rate of 1e-3, four blocks and the second channels."""
    rate = math.log10(float(str(values["train.learning_rate"])))
    return -abs(rate + 3) - abs(values["net.blocks"] - 4) - abs(values["net.channels"][0] - 16) / 8


def run_search(asked: SearchSettings, trials: int, *, seed: int = 0) -> list[Tried]:
    history: list[Tried] = []
    for _ in range(trials):
        values = proposal(asked, history, seed=seed).values
        history.append(Tried(values, worth(values)))
    return history


def test_a_model_is_given_its_own_settings_and_those_of_training() -> None:
    values = proposal(search(), []).values
    assert sorted(values) == ["net.blocks", "net.channels", "train.learning_rate"]
    assert isinstance(values["net.blocks"], int)
    assert values["net.channels"] in SPACE["net.channels"]
    assert 1e-5 <= values["train.learning_rate"] <= 1e-1
    assert count_trials(search(trials=7), "other") == 7
    assert count_trials(SearchSettings(space={"net.blocks": [1]}), "other") == 0


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_is_taken_up_anywhere_tries_the_same(sampler: str) -> None:
    asked = search(sampler=sampler)
    whole = run_search(asked, 12)
    for cut in (0, 3, 11):
        assert proposal(asked, whole[:cut]).values == whole[cut].values
    assert [each.values for each in run_search(asked, 12, seed=1)] != [e.values for e in whole]


def test_what_was_learnt_leads_to_better_values_than_chance() -> None:
    gains = []
    for seed in range(5):
        best = {
            sampler: max(one.value for one in run_search(search(sampler=sampler), 40, seed=seed))
            for sampler in ("tpe", "random")
        }
        gains.append(best["tpe"] - best["random"])
    assert sum(gain > 0 for gain in gains) >= 4, gains


def test_a_grid_tries_each_combination_once_in_order() -> None:
    space = {"net.blocks": [1, 2], "net.channels": [[8], [16], [32]]}
    asked = SearchSettings.model_validate({"space": space, "sampler": "grid", "trials": 100})
    assert count_trials(asked, "net") == 6
    found = [each.values for each in run_grid(asked)]
    assert found == [
        {"net.blocks": blocks, "net.channels": channels}
        for blocks in (1, 2)
        for channels in ([8], [16], [32])
    ]


def run_grid(asked: SearchSettings) -> list[Tried]:
    history: list[Tried] = []
    for _ in range(count_trials(asked, "net")):
        history.append(Tried(proposal(asked, history).values, 0.0))
    return history


def test_a_trial_worse_than_the_median_ends_and_no_other() -> None:
    asked = search()
    history = []
    for number in range(6):
        values = proposal(asked, history).values
        history.append(Tried(values, 0.5 + number / 10, {1: 0.5 + number / 10, 2: 0.9}))
    assert proposal(asked, history).is_hopeless({1: 0.5})
    assert not proposal(asked, history).is_hopeless({1: 0.95})
    assert not proposal(asked, history).is_hopeless({})
    assert not proposal(search(prune=False), history).is_hopeless({1: 0.0})
    assert not proposal(asked, history[:4]).is_hopeless({1: 0.0})  # too few to tell


def test_the_best_is_the_first_of_equals_and_never_one_that_was_ended_early() -> None:
    history = [Tried({}, 0.4), Tried({}, None), Tried({}, 0.7), Tried({}, 0.7)]
    pruned = Tried({}, 0.9, {1: 0.9}, pruned=True)
    assert best_of([*history, pruned], higher_is_better=True) == 2
    assert best_of(history, higher_is_better=False) == 0
    assert best_of([Tried({}, None), pruned], higher_is_better=True) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"space": {"dropout": [0.1]}}, "write train.dropout"),
        ({"space": {"net.dropout": []}}, "the list is empty"),
        ({"space": {"net.dropout": {"low": 1, "high": 1}}}, "give low < high"),
        ({"space": {"net.rate": {"low": 0, "high": 1, "log": True}}}, "numbers above 0"),
        ({"space": {"net.rate": {"low": 0, "high": 1}}, "sampler": "grid"}, "needs a list"),
        ({"space": {}}, "at least 1"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SearchSettings.model_validate(wrong)


@settings(max_examples=25, deadline=None)
@given(
    low=st.floats(1e-6, 1.0), times=st.floats(1.01, 1e4), log=st.booleans(), seed=st.integers(0, 99)
)
def test_values_stay_in_their_range(low: float, times: float, log: bool, seed: int) -> None:
    asked = SearchSettings(space={"train.learning_rate": Range(low=low, high=low * times, log=log)})
    history: list[Tried] = []
    for _ in range(8):
        value = Proposal(asked, "net", history, higher_is_better=False, seed=seed).values[
            "train.learning_rate"
        ]
        assert low <= value <= low * times
        history.append(Tried({"train.learning_rate": value}, value))

"""Which combination a search tries next: a function of its seed and of the trials before."""

from dataclasses import dataclass, field
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from reelfit.data.seeds import seed_for
from reelfit.errors import StudyError
from reelfit.search.settings import Choices, Range, SearchSettings

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

AT_RANDOM_FIRST = 5
"""Trials before a sampler or a pruner may conclude anything from them."""


@dataclass(frozen=True)
class Tried:
    """A trial that ended: its combination, its value, and the value after each of its epochs."""

    values: dict[str, Any]
    value: float | None
    """None where the metric was undefined."""
    by_epoch: dict[int, float] = field(default_factory=dict)
    pruned: bool = False


def require_optuna() -> None:
    """Makes sure that a search can be done here, and that it is quiet.

    Raises:
        StudyError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise StudyError(
            'search needs optuna: pip install "reelfit[tune]"', place=("search",)
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def count_trials(settings: SearchSettings, model: str) -> int:
    """How many trials a model gets: ``trials``, and of a grid no more than it has combinations."""
    space = settings.space_of(model)
    if not space:
        return 0
    if settings.sampler != "grid":
        return settings.trials
    combinations = 1
    for choices in space.values():
        assert isinstance(choices, list)
        combinations *= len(choices)
    return min(settings.trials, combinations)


class Proposal:
    """The next combination, and whether its trial is worth another epoch.

    The same settings, seed and history give the same, however often the process was killed.
    """

    def __init__(
        self,
        settings: SearchSettings,
        model: str,
        history: list[Tried],
        *,
        higher_is_better: bool,
        seed: int,
    ) -> None:
        self._space = settings.space_of(model)
        self._prunes = settings.prune
        self._reported: set[int] = set()
        distributions = {place: _distribution(each) for place, each in self._space.items()}
        require_optuna()
        self.number = len(history)
        study = _make_study(settings, history, distributions, higher_is_better, seed=seed)
        for one in history:
            study.add_trial(_ended(one, self._space, distributions))
        if settings.sampler == "grid":
            combinations = product(*(choices for _, choices in self._space.items()))
            chosen = next(islice(combinations, self.number, None))
            fixed = dict(zip(self._space, chosen, strict=True))
            study.enqueue_trial(_as_numbers(fixed, self._space))
        self._trial: Trial = study.ask(fixed_distributions=distributions)

    @property
    def values(self) -> dict[str, Any]:
        """The combination, by setting."""
        return {
            place: choices[self._trial.params[place]]
            if isinstance(choices, list)
            else self._trial.params[place]
            for place, choices in self._space.items()
        }

    def is_hopeless(self, by_epoch: dict[int, float]) -> bool:
        """Whether it is worse after its last epoch than the median of the trials before it."""
        for epoch in sorted(set(by_epoch) - self._reported):
            self._trial.report(by_epoch[epoch], epoch)
            self._reported.add(epoch)
        return self._prunes and bool(by_epoch) and bool(self._trial.should_prune())


def best_of(history: list[Tried], *, higher_is_better: bool) -> int | None:
    """The number of the best trial, the first of equals; None where no value is defined."""
    sign = -1 if higher_is_better else 1
    ended = [
        (sign * each.value, number)
        for number, each in enumerate(history)
        if each.value is not None and not each.pruned
    ]
    return min(ended)[1] if ended else None


def _make_study(
    settings: SearchSettings,
    history: list[Tried],
    distributions: dict[str, "BaseDistribution"],
    higher_is_better: bool,
    *,
    seed: int,
) -> "Study":
    import optuna

    drawn = seed_for(seed, "trial", len(history)) % 2**32
    sampler: optuna.samplers.BaseSampler
    if settings.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(
            seed=drawn, n_startup_trials=AT_RANDOM_FIRST, multivariate=len(distributions) > 1
        )
    else:
        sampler = optuna.samplers.RandomSampler(seed=drawn)
    return optuna.create_study(
        direction="maximize" if higher_is_better else "minimize",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=AT_RANDOM_FIRST),
    )


def _distribution(choices: Choices) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(choices, list):  # by place: a list of channels is nothing that optuna knows
        return CategoricalDistribution(range(len(choices)))
    if isinstance(choices.low, int) and isinstance(choices.high, int):
        return IntDistribution(choices.low, choices.high, log=choices.log)
    return FloatDistribution(choices.low, choices.high, log=choices.log)


def _ended(
    one: Tried, space: dict[str, Choices], distributions: dict[str, "BaseDistribution"]
) -> Any:
    from optuna.trial import TrialState, create_trial

    state = TrialState.FAIL if one.value is None else TrialState.COMPLETE
    return create_trial(
        state=TrialState.PRUNED if one.pruned else state,
        value=one.value,
        params=_as_numbers(one.values, space),
        distributions=distributions,
        intermediate_values=one.by_epoch,
    )


def _as_numbers(values: dict[str, Any], space: dict[str, Choices]) -> dict[str, Any]:
    """Values of lists as their places in them."""
    numbers = dict(values)
    for place, choices in space.items():
        if not isinstance(choices, Range):
            numbers[place] = choices.index(values[place])
    return numbers

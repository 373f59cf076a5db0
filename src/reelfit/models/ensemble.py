"""Several models of a study as one: the mean of what they say, or what is learnt of them."""

from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from reelfit.models.collinearity import HIGHEST_INFLATION
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.model import Model, Weights
from reelfit.models.shown_classes import row_weights

LEAST = 1e-6
"""A probability at the least, or a model that is sure and wrong once would outweigh all else."""
_ROUNDS, _STILL = 10_000, 1e-10

Said = Float64[np.ndarray, "model sample class"]


@final
class Ensemble(Model):
    """What its members say of a video, put together."""

    kind: ClassVar[str] = "ensemble"

    how: Literal["mean", "weighted", "stacked"] = "mean"
    """The mean of the probabilities; a mean with weights that are learnt; a logistic regression on
    their log-odds."""
    of: tuple[str, ...] | None = Field(default=None, min_length=2)
    """The ids of its members; null: all models of the study but ensembles."""
    inverse_penalty: float = Field(default=0.1, gt=0)
    """Of a stacked one: the inverse of the penalty's strength (scikit-learn's C)."""

    def learn(
        self, said: Said, targets: Int64[np.ndarray, " sample"], *, balanced: bool
    ) -> Weights:
        """Arrays that say how members are put together, from predictions they were not taught."""
        if self.how == "mean":
            return {"share": np.full(len(said), 1 / len(said))}
        if self.how == "weighted":
            return {"share": _shares(said, targets, row_weights(targets, balanced=balanced))}
        return self._regression().fit(
            _log_odds(said), targets, num_classes=said.shape[2], balanced=balanced, seed=0
        )

    def combine(self, weights: Weights, said: Said) -> Float64[np.ndarray, "sample class"]:
        """The probability of each class, from what ``learn`` gave."""
        if self.how == "stacked":
            return self._regression().probabilities(weights, _log_odds(said))
        return np.asarray(np.tensordot(weights["share"], said, axes=1))

    def _regression(self) -> HandcraftedLogistic:
        """Members say much the same, and yet none is cut: no |r| reaches 2."""
        return HandcraftedLogistic(
            inverse_penalty=self.inverse_penalty,
            max_correlation=2.0,
            max_inflation=HIGHEST_INFLATION,
        )


def _shares(
    said: Said, targets: Int64[np.ndarray, " sample"], counts: Float64[np.ndarray, " sample"]
) -> Float64[np.ndarray, " model"]:
    """The shares, adding to 1, of the mean whose log loss is least; there is one least value.

    Source: A. Dempster, N. Laird and D. Rubin, Maximum likelihood from incomplete data via the EM
    algorithm (1977), for the proportions of a mixture.
    """
    right = np.maximum(said[:, np.arange(len(targets)), targets], LEAST)
    share = np.full(len(said), 1 / len(said))
    for _ in range(_ROUNDS):
        before, owed = share, share[:, None] * right
        share = (owed / owed.sum(0)) @ counts / counts.sum()
        if np.abs(share - before).max() < _STILL:
            break
    return np.asarray(share / share.sum())


def _log_odds(said: Said) -> Float64[np.ndarray, "sample feature"]:
    """Of two classes the log-odds of the second by each model; of more the logs of all."""
    logs = np.log(np.maximum(said, LEAST))
    if said.shape[2] == 2:
        return np.asarray((logs[:, :, 1] - logs[:, :, 0]).T)
    return np.asarray(logs.transpose(1, 0, 2).reshape(said.shape[1], -1))

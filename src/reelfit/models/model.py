"""What a model is: options that build a network, or a classical model on handcrafted features."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float64, Int64
from torch import nn

from reelfit.models.collinearity import Cut
from reelfit.models.input_adapter import Needs
from reelfit.settings import Settings

Weights = dict[str, Float64[np.ndarray, "..."]]


class Model(Settings, ABC):
    """The options of a model; a subclass is a ``Network`` or a ``FeatureModel``."""


class Network(Model):
    """A model that is trained by gradient on clips."""

    @abstractmethod
    def build(self, *, num_outputs: int) -> nn.Module:
        """A module from clips, ``batch time 3 height width`` in -1..1, to ``batch output``.

        Its samples must not see each other (group norm, not batch norm), so that a step cut into
        micro-batches is exact. Initial weights come from torch's generator, seeded by the caller.
        Its last layer is called ``head``, a Linear from what the network makes of a clip to the
        outputs; parameters that are not to be trained do not require a gradient.
        """

    def needs(self) -> Needs:
        """What clips are to be for it; it adapts them itself, from whatever shape they have."""
        return Needs()

    def rate_factors(self, network: nn.Module) -> dict[str, float]:
        """Of parameters that learn at another rate than the study's: name and factor."""
        del network
        return {}

    def depths(self, network: nn.Module) -> dict[str, int]:
        """The layer of each parameter, 0 at the input, for layer-wise decay; {} where it has none.

        The head is the deepest.
        """
        del network
        return {}

    def smaller(self) -> "Network | None":
        """The same model about half as wide, for a study that allows it; None for the smallest."""
        return None


class FeatureModel(Model):
    """A model that is fitted on one row of handcrafted features per video."""

    @abstractmethod
    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
    ) -> Weights:
        """Arrays that say all that was learnt; scaling is fitted here, on training rows alone."""

    @abstractmethod
    def cuts(self, weights: Weights) -> list[Cut]:
        """The features that ``fit`` left out, and why."""

    @abstractmethod
    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The probability of each class, from what ``fit`` gave."""

"""What a model is: options of a network, or of a classical model on features of some kind."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from torch import nn

from reelfit.models.collinearity import Cut
from reelfit.models.input_adapter import Needs
from reelfit.settings import Settings

Weights = dict[str, Shaped[np.ndarray, "..."]]


class Model(Settings, ABC):
    """The options of a model; a subclass is of one of the kinds below, or an ``Ensemble``."""

    kind: ClassVar[str]
    """What it learns from: clips, features, a network's features, predictions."""


class Network(Model):
    """A model that is trained by gradient on clips."""

    kind: ClassVar[str] = "network"

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

    def frozen_part(self) -> Any:
        """What decides, as a JSON value, what a wholly frozen encoder makes of a clip.

        None where something learns before the clip has become an embedding.
        """
        return None

    def smaller(self) -> "Network | None":
        """The same model about half as wide, for a study that allows it; None for the smallest."""
        return None


class FeatureModel(Model):
    """A model that is fitted on one row of handcrafted features per video."""

    kind: ClassVar[str] = "features"

    features: Literal["first", "second", "both"] = "both"
    """Which of them: the first set of 15, the second of 23, or all that are measured."""

    @abstractmethod
    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """Arrays that say all that was learnt; scaling is fitted here, on training rows alone.

        ``balanced`` weights each row by the inverse of its class's share. The same rows, threads
        and ``seed`` give the same arrays.
        """

    @abstractmethod
    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The probability of each class, from what ``fit`` gave; 0 of a class it never saw."""

    def cuts(self, weights: Weights) -> list[Cut]:
        """The features that ``fit`` left out, and why; most models leave none out."""
        del weights
        return []


class OnNetwork(Model):
    """A classical model on what a trained network of the study makes of a clip before its head."""

    kind: ClassVar[str] = "deep"

    model: str
    """The id of that network."""

    @abstractmethod
    def classifier(self) -> FeatureModel:
        """What is fitted on the network's features, a row per video."""

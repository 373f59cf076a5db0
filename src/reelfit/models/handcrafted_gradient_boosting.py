"""Gradient boosting of small trees on handcrafted features, by histograms."""

from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from reelfit.models.model import FeatureModel, Weights
from reelfit.models.shown_classes import classes_shown, over_all_classes, softmax

_LEAF = -1
"""The feature that a leaf is split by."""


@final
class HandcraftedGradientBoosting(FeatureModel):
    """Trees that follow on each other; each corrects what the ones before it leave wrong.

    Source: scikit-learn's HistGradientBoostingClassifier.
    """

    trees: int = Field(default=100, ge=1)
    """Rounds; of more than two classes each round has a tree for every class."""
    learning_rate: float = Field(default=0.1, gt=0)
    """How much of its correction each tree is believed."""
    max_leaves: int = Field(default=8, ge=2)
    """Leaves of a tree at the most."""
    least_in_leaf: int = Field(default=5, ge=1)
    """Videos in a leaf at the least."""

    def fit(
        self,
        features: Float64[np.ndarray, "sample feature"],
        targets: Int64[np.ndarray, " sample"],
        *,
        num_classes: int,
        balanced: bool,
        seed: int,
    ) -> Weights:
        """All nodes of all trees one after the other, and where each tree begins.

        ``feature`` is -1 of a leaf, whose ``value`` counts; a row goes to the node ``left`` where
        its feature is at most ``threshold``, else to the node ``right``.
        """
        shown = classes_shown(targets, num_classes=num_classes)
        if shown.sum() == 1:  # of one class alone there is nothing to learn
            return {"shown": shown}
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=self.trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaves,
            min_samples_leaf=self.least_in_leaf,
            early_stopping=False,
            class_weight="balanced" if balanced else None,
            random_state=seed % 2**32,
        ).fit(features, targets)
        return {"shown": shown, "bias": model._baseline_prediction[0], **_nodes(model)}

    def probabilities(
        self, weights: Weights, features: Float64[np.ndarray, "sample feature"]
    ) -> Float64[np.ndarray, "sample class"]:
        """The softmax of the sums of all trees' leaves; of two classes the logistic function."""
        shown = weights["shown"]
        if shown.sum() == 1:
            return over_all_classes(shown, np.ones((len(features), 1)))
        leaves = _leaves(weights, features)
        outputs = len(weights["bias"])
        scores = leaves.reshape(len(features), -1, outputs).sum(1) + weights["bias"]
        if outputs > 1:
            return over_all_classes(shown, softmax(scores))
        return over_all_classes(shown, softmax(np.concatenate([-scores / 2, scores / 2], axis=1)))


def _nodes(model: Any) -> Weights:
    """The trees, in the order of their rounds and in each round of the classes."""
    trees = [tree.nodes for one_round in model._predictors for tree in one_round]
    sizes = np.array([len(nodes) for nodes in trees])
    begins = np.concatenate([[0], sizes.cumsum()[:-1]])
    nodes, offset = np.concatenate(trees), np.repeat(begins, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "begins": begins.astype(np.int64),
        "feature": np.where(leaf, _LEAF, nodes["feature_idx"]).astype(np.int64),
        "threshold": np.where(leaf, 0.0, nodes["num_threshold"]),
        "left": np.where(leaf, 0, nodes["left"] + offset).astype(np.int64),
        "right": np.where(leaf, 0, nodes["right"] + offset).astype(np.int64),
        "value": nodes["value"].astype(np.float64),
    }


def _leaves(
    weights: Weights, features: Float64[np.ndarray, "sample feature"]
) -> Float64[np.ndarray, "sample tree"]:
    """What the leaf of each tree says in which each row ends."""
    node = np.tile(weights["begins"], (len(features), 1))
    row = np.arange(len(features))[:, None]
    while True:
        by = weights["feature"][node]
        inner = by != _LEAF
        if not inner.any():
            return np.asarray(weights["value"][node])
        goes_left = features[row, by] <= weights["threshold"][node]
        below = np.where(goes_left, weights["left"][node], weights["right"][node])
        node = np.where(inner, below, node)

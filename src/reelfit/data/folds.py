"""Which videos must stay together, and a split that keeps them so."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from reelfit.errors import StudyError


def join_groups(video_ids: Sequence[str], groups: Sequence[str]) -> list[str]:
    """One group name per row, equal for rows that share a video or a group, directly or in chain.

    The name is the smallest of the groups joined, so that it does not depend on the order.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for video_id, group in zip(video_ids, groups, strict=True):
        parent[root(f"video {video_id}")] = root(f"group {group}")
    smallest: dict[str, str] = {}
    for group in groups:
        top = root(f"group {group}")
        smallest[top] = min(group, smallest.get(top, group))
    return [smallest[root(f"group {group}")] for group in groups]


def contradictions(index: pl.DataFrame) -> pl.DataFrame:
    """The videos of one content that carry different labels: video_id, paths, labels."""
    return (
        index.group_by("video_id", maintain_order=True)
        .agg(pl.col("path").alias("paths"), pl.col("label").unique().sort().alias("labels"))
        .filter(pl.col("labels").list.len() > 1)
    )


def assign_folds(
    targets: Sequence[int], groups: Sequence[str], *, count: int, seed: int, classes: Sequence[str]
) -> list[int]:
    """The fold, from 1, in which each row is validated; no group in two of them.

    Rows should come in an order that does not depend on the table, such as by video_id.

    Raises:
        StudyError: a class has fewer groups than there are folds.

    Source: scikit-learn's StratifiedGroupKFold.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for target, name in enumerate(classes):
        has = len({g for g, t in zip(groups, targets, strict=True) if t == target})
        if has < count:
            raise StudyError(
                f"folds.count is {count}, but the class {name} has only {has} "
                f"group{'' if has == 1 else 's'} of videos: use at most {max(has, 2)} folds"
                f"{' and at least 2 groups' if has < 2 else ''}"
            )
    folds = np.zeros(len(targets), dtype=np.int32)
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed % 2**32)
    for fold, (_, held) in enumerate(splitter.split(folds, targets, groups), 1):
        folds[held] = fold
    return [int(fold) for fold in folds]

"""Which videos must stay together, and a split that keeps them so."""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapreplace

import numpy as np
import polars as pl

from reelfit.errors import StudyError


def join_groups(
    video_ids: Sequence[str], groups: Sequence[str], *, alike: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """One group name per row, equal for rows that share a video or a group, directly or in chain.

    So are those of two videos that are ``alike``. The name is the smallest of the groups joined, so
    that it does not depend on the order.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for video_id, group in zip(video_ids, groups, strict=True):
        parent[root(f"video {video_id}")] = root(f"group {group}")
    for first, second in alike:
        parent[root(f"video {first}")] = root(f"video {second}")
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


def require_groups(
    labels: Sequence[str], groups: Sequence[str], *, count: int, classes: Sequence[str]
) -> None:
    """Looks whether each class has enough groups for ``count`` folds.

    Raises:
        StudyError: one has not.
    """
    for name in classes:
        has = groups_of_class(name, labels, groups)
        if has < count:
            raise StudyError(
                f"folds.count is {count}, but the class {name} has only {has} "
                f"group{'' if has == 1 else 's'} of videos: use at most {max(has, 2)} folds"
                f"{' and at least 2 groups' if has < 2 else ''}"
            )


def groups_of_class(name: str, labels: Sequence[str], groups: Sequence[str]) -> int:
    """How many groups have a video of the class ``name``."""
    return len({group for group, label in zip(groups, labels, strict=True) if label == name})


def require_loose_groups(
    labels: Sequence[str],
    groups: Sequence[str],
    joined: Sequence[str],
    *,
    count: int,
    classes: Sequence[str],
) -> None:
    """Looks whether ``groups``, after videos that look alike are ``joined``, still make folds.

    Raises:
        StudyError: a class has too few groups left, or one group holds more than half of all
            videos, and it was not so before.
    """
    (largest, size), *_ = Counter(joined).most_common(1)
    tied = 2 * size > len(joined) >= 2 * max(Counter(groups).values())
    short = [
        name
        for name in classes
        if groups_of_class(name, labels, joined) < count <= groups_of_class(name, labels, groups)
    ]
    if not tied and not short:
        return
    left = (
        f"; the class {short[0]} has fewer groups left than folds.count, {count}" if short else ""
    )
    raise StudyError(
        f"videos that look alike are tied into groups too large for folds: the largest, {largest}, "
        f"holds {size} of {len(joined)} videos{left}. They may show one scene: give videos.group "
        "its column and folds.near_duplicates: null, or a smaller folds.near_duplicates",
        place=("folds", "near_duplicates"),
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

    require_groups([classes[target] for target in targets], groups, count=count, classes=classes)
    folds = np.zeros(len(targets), dtype=np.int32)
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed % 2**32)
    for fold, (_, held) in enumerate(splitter.split(folds, targets, groups), 1):
        folds[held] = fold
    return [int(fold) for fold in folds]


def assign_groups(groups: Sequence[str], *, count: int, seed: int) -> list[int]:
    """The fold, from 1, in which each row is validated; no group in two of them.

    Folds of about one number of rows, whatever the rows are: the largest groups first, each to the
    fold that has the fewest, groups of one size in an order drawn by ``seed``.

    Raises:
        StudyError: there are fewer groups than folds.
    """
    sizes = Counter(groups)
    if len(sizes) < count:
        raise StudyError(
            f"folds.count is {count}, but there are only {len(sizes)} groups of videos: use at "
            f"most {max(len(sizes), 2)} folds{' and at least 2 groups' if len(sizes) < 2 else ''}"
        )
    names = sorted(sizes)
    drawn = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    loads = [(0, fold) for fold in range(1, count + 1)]
    fold_of = {}
    for group in sorted(drawn, key=lambda name: -sizes[name]):
        load, fold = loads[0]
        fold_of[group] = fold
        heapreplace(loads, (load + sizes[group], fold))
    return [fold_of[group] for group in groups]

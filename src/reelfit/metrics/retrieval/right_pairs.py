"""Which texts are right for which videos."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from reelfit.errors import FeatureError

Targets: TypeAlias = np.ndarray | Tensor | Sequence[Any]
"""For each video one text or several: numbers of text rows, or the texts themselves."""


@dataclass(frozen=True)
class RightPairs:
    """Every video with every text that is right for it, once, by video and then by text.

    ``texts`` are the unique ones, by number, where the targets were texts.
    """

    video: Int64[np.ndarray, " pair"]
    text: Int64[np.ndarray, " pair"]
    num_videos: int
    num_texts: int
    texts: list[str] | None = None

    def __len__(self) -> int:
        return len(self.video)


def number_texts(texts: Iterable[str]) -> tuple[list[str], Int64[np.ndarray, " entry"]]:
    """The unique texts in first-seen order, and the number of each one given."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), np.array(found, dtype=np.int64)


def _flat(targets: Targets) -> tuple[Int64[np.ndarray, " pair"], list[Any]]:
    """The video of each target, and the targets, as they stand."""
    if isinstance(targets, Tensor):
        targets = targets.detach().cpu().numpy()
    if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype != object:
        return np.arange(len(targets)), targets.tolist()
    videos: list[int] = []
    flat: list[Any] = []
    for video, target in enumerate(targets):
        several = [target] if isinstance(target, str) or np.ndim(target) == 0 else list(target)
        videos += [video] * len(several)
        flat += several
    return np.array(videos, dtype=np.int64), flat


def _checked(
    flat: list[Any], videos: Int64[np.ndarray, " pair"], num_texts: int
) -> Int64[np.ndarray, " pair"]:
    numbers = np.array(flat) if flat else np.empty(0, np.int64)
    if numbers.dtype.kind not in "iu":
        raise FeatureError(f"targets are numbers of text rows or texts, not {numbers.dtype}")
    numbers = numbers.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= num_texts))
    if len(wrong):
        video, number = videos[wrong[0]], numbers[wrong[0]]
        raise FeatureError(
            f"video {video} has the target {number}, but the text features have "
            f"the rows 0 to {num_texts - 1}"
        )
    return numbers


def _of_texts(
    flat: list[str], num_rows: int
) -> tuple[list[str], Int64[np.ndarray, " pair"], Int64[np.ndarray, " text"] | None]:
    """The unique texts, the number of each target, and which rows are theirs, unless all are."""
    texts, numbers = number_texts(flat)
    if num_rows == len(texts):
        return texts, numbers, None
    if num_rows == len(flat):
        first = np.unique(numbers, return_index=True)[1]
        return texts, numbers, first.astype(np.int64)
    raise FeatureError(
        f"the text features have {num_rows} rows; the targets are {len(flat)} texts, "
        f"{len(texts)} of them unique: give a row for each unique text, in first-seen order, "
        "or one for each target"
    )


def find_right_pairs(
    targets: Targets, *, num_videos: int, num_rows: int
) -> tuple[RightPairs, Int64[np.ndarray, " text"] | None]:
    """The right pairs, and which rows of the text features are those of the texts, unless all are.

    Raises:
        FeatureError: a target that is no text, or not one target for each video.
    """
    if len(targets) != num_videos:
        raise FeatureError(f"there are {num_videos} videos, but {len(targets)} targets")
    videos, flat = _flat(targets)
    texts, chosen = None, None
    if flat and all(isinstance(target, str) for target in flat):
        texts, numbers, chosen = _of_texts(flat, num_rows)
        num_rows = len(texts)
    else:
        numbers = _checked(flat, videos, num_rows)
    if not len(numbers):
        raise FeatureError("no video has a right text: there is nothing to measure")
    pairs = np.unique(videos * num_rows + numbers)
    return RightPairs(pairs // num_rows, pairs % num_rows, num_videos, num_rows, texts), chosen

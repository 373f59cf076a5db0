"""Ranks of retrieval from the whole matrix in double precision, as their definitions say."""

from typing import Any

import numpy as np

DEPTHS = (5, 10)


def whole_matrix(
    video: np.ndarray, text: np.ndarray, right: list[list[int]], *, normalize: bool, ties: str
) -> dict[str, list[dict[str, Any] | None]]:
    """Of each direction and query its rank, average precision and nDCG; None if nothing is right.

    Two scores tie if they differ by less than what rounding in double precision may make of equal
    ones.
    """
    video, text = video.astype(np.float64), text.astype(np.float64)
    lengths = [np.linalg.norm(each, axis=1) for each in (video, text)]
    if normalize:
        video, text = (
            each / np.where(length > 0, length, 1)[:, None]
            for each, length in zip((video, text), lengths, strict=True)
        )
        lengths = [(length > 0).astype(float) for length in lengths]
    scores = video @ text.T
    is_right = np.zeros(scores.shape, bool)
    for row, columns in enumerate(right):
        is_right[row, columns] = True
    error = 2 * (video.shape[1] + 6) * 2.0**-53
    slacks = [error * lengths[0] * lengths[1].max(), error * lengths[1] * lengths[0].max()]
    return {
        "video_to_text": _queries(scores, is_right, slacks[0], ties),
        "text_to_video": _queries(scores.T, is_right.T, slacks[1], ties),
    }


def _queries(
    scores: np.ndarray, is_right: np.ndarray, slacks: np.ndarray, ties: str
) -> list[dict[str, Any] | None]:
    return [
        _query(row[right], row[~right], slack, ties) if right.any() else None
        for row, right, slack in zip(scores, is_right, slacks, strict=True)
    ]


def _query(right: np.ndarray, wrong: np.ndarray, slack: float, ties: str) -> dict[str, Any]:
    share = {"mean": 0.5, "optimistic": 0.0, "pessimistic": 1.0}[ties]
    places = []
    for number, score in enumerate(sorted(right, reverse=True), 1):
        above = int((wrong > score + slack).sum())
        tied = int((np.abs(wrong - score) <= slack).sum())
        places.append(number + above + share * tied)
    gains = {}
    for depth in DEPTHS:
        gained = sum(1 / np.log2(1 + place) for place in places if place <= depth)
        best = sum(1 / np.log2(1 + place) for place in range(1, min(depth, len(places)) + 1))
        gains[f"ndcg@{depth}"] = gained / best
    return {
        "rank": places[0],
        "average_precision": float(np.mean([n / place for n, place in enumerate(places, 1)])),
        **gains,
    }

"""A study whose table names one test is judged, though no other fold says anything."""

import numpy as np
import polars as pl
import pytest

from reelfit.data.tables import PREDICTIONS
from reelfit.models.container_facts import predict_by_one_fact
from reelfit.stages.judging import adjust


@pytest.fixture
def predictions() -> pl.DataFrame:
    said = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
    return pl.DataFrame(
        {
            "model": ["m"] * 3,
            "fold": pl.Series([1] * 3, dtype=pl.Int32),
            "video_id": [f"{n:032x}" for n in range(3)],
            "group": list("abc"),
            "target": pl.Series([0, 0, 1], dtype=pl.Int32),
            "predicted": pl.Series([0, 1, 1], dtype=pl.Int32),
            "probabilities": said,
        }
    ).select(*PREDICTIONS.columns)


def test_probabilities_stay_as_they_are_where_no_other_fold_can_tell_better(predictions):
    found = adjust(predictions)
    assert found["probabilities"].to_list() == predictions["probabilities"].to_list()
    assert found["decided"].to_list() == [0, 1, 1]
    assert set(found["temperature"]) == {1.0}
    assert found["threshold"].null_count() == 3


def test_the_control_learns_from_videos_that_are_never_judged():
    folds = np.repeat([0, 1], 20)
    targets = np.tile([0, 1], 20)
    fact = np.where(targets == 1, 5.0, 1.0)[:, None]  # the container gives the class away
    found = predict_by_one_fact(fact, targets, folds, num_classes=2)
    assert (found[20:].argmax(1) == targets[20:]).all()
    assert not found[:20].any()  # nothing is said of them

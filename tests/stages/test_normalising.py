"""Channels are measured on what a fold learns from: originals of its training videos alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from reelfit.data.channel_statistics import Normalisation
from reelfit.data.shards import Clip, ShardReader, ShardWriter
from reelfit.files import read_json
from reelfit.models import make_model
from reelfit.stages.normalising import CHANNELS, kept_normalisation, settle_normalisation
from reelfit.study import Study
from reelfit.study_yaml import explain

MODEL = make_model("naive_cnn", {})


def study_with(normalize: Any) -> Study:
    return Study.model_validate(
        {
            "videos": {"table": "v.csv"},
            "models": ["naive_cnn"],
            "train": {"normalize": normalize},
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame, np.ndarray]:
    """Six videos in three folds, each with a copy that is white; each fold has its own light."""
    folder = tmp_path_factory.mktemp("store")
    noise = np.random.default_rng(0).integers(0, 60, (6, 4, 3, 8, 8))
    pixels = (noise + np.array([0, 20, 90, 90, 180, 190])[:, None, None, None, None]).astype(
        np.uint8
    )
    writer = ShardWriter(folder / "a.tar", making=folder / "making" / "a.tar", store="uint8")
    for number, clip in enumerate(pixels):
        white = np.full_like(clip, 255)
        identity = f"{number:032x}"
        clips = [Clip(identity, 0, clip, [0, 1, 2, 3], {}), Clip(identity, 1, white, [0], {})]
        writer.add(clips, facts={"fold": number // 2 + 1})
    return folder, pl.DataFrame(writer.finish()), pixels


@pytest.fixture
def settle(store, tmp_path) -> Callable[..., Normalisation | None]:
    folder, rows, _ = store

    def made(fold: int, normalize: Any = "measured", model: Any = MODEL) -> Normalisation | None:
        train = rows.filter(pl.col("fold") != fold)
        with ShardReader(folder) as reader:
            own = tmp_path / f"fold_{fold}"
            return settle_normalisation(study_with(normalize), model, train, own, reader)

    return made


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_neither_validation_clips_nor_copies_count(store, settle, fold):
    pixels = store[2][np.arange(6) // 2 + 1 != fold].astype(np.float64) / 255
    found = settle(fold)
    np.testing.assert_allclose(found.mean, pixels.mean((0, 1, 3, 4)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.std, pixels.std((0, 1, 3, 4)), rtol=0, atol=1e-6)
    everything = store[2].astype(np.float64) / 255
    assert np.abs(np.subtract(found.mean, everything.mean((0, 1, 3, 4)))).min() > 1e-3


def test_what_was_measured_is_kept_for_predicting_and_measured_anew_for_other_clips(
    store, settle, tmp_path
):
    found, kept = settle(1), tmp_path / "fold_1" / CHANNELS
    stamp = kept.stat().st_mtime_ns
    assert settle(1) == found
    assert kept.stat().st_mtime_ns == stamp
    assert kept_normalisation(study_with("measured"), MODEL, kept.parent) == found
    assert read_json(kept)["clips"] == 4
    folder, rows, _ = store
    with ShardReader(folder) as reader:
        other = settle_normalisation(
            study_with("measured"), MODEL, rows.filter(pl.col("fold") == 1), kept.parent, reader
        )
    assert other != found


def test_given_channels_are_taken_and_halves_are_none(settle, tmp_path):
    given = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    assert settle(1, given) == Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert settle(1, "halves") is None
    assert not (tmp_path / "fold_1").exists()


@pytest.mark.parametrize(
    "model",
    [
        make_model("variable_ar_cnn", {}),  # finds bars by their black
        make_model("two_stream", {"motion": "flow"}),
        make_model("videomae", {"size": "tiny"}),
    ],
)
def test_a_network_with_a_scale_of_its_own_keeps_it(settle, tmp_path, model):
    assert settle(1, model=model) is None
    assert not (tmp_path / "fold_1").exists()
    assert kept_normalisation(study_with("measured"), model, tmp_path) is None


@pytest.mark.parametrize(
    "wrong", ["thirds", {"mean": [0.5] * 3}, {"mean": [0.5] * 3, "std": [0.5, 0.0, 0.5]}]
)
def test_what_normalises_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="normalize"):
        study_with(wrong)


def test_the_setting_is_explained():
    assert "measured" in explain("train.normalize")

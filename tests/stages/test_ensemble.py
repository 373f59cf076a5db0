"""Ensembles are learnt from other videos than those that judge them."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from reelfit.files import read_json, write_json
from reelfit.memory.record import MemoryLog
from reelfit.models.ensemble import Ensemble
from reelfit.report.history import decisions
from reelfit.stages.ensemble import Ensembles
from reelfit.stages.listed import listing_of
from reelfit.stages.stage import Context
from reelfit.study import Study

HOWS = ("mean", "weighted", "stacked")
MEMBERS = ("handcrafted_logistic", "naive_cnn")
FOLDS = range(1, 6)


class Combined:
    """A run of two models, and its ensembles, one of each kind."""

    def __init__(self, run, study) -> None:
        ensembles = [{"name": "ensemble", "id": how, "how": how} for how in HOWS]
        self.run, self.events = run, []
        self.study = Study.model_validate(
            study.model_dump(mode="json") | {"models": [*MEMBERS, *ensembles]}
        )
        kinds = {"handcrafted_logistic": "features", "naive_cnn": "network"}
        kinds |= dict.fromkeys(HOWS, "ensemble")
        write_json(run.file("models.json"), {m: {"kind": kind} for m, kind in kinds.items()})

    def work(self, key: str) -> list[str]:
        stage, listing = Ensembles(), listing_of(self.study)
        context = Context(
            key=key,
            threads=1,
            memory=MemoryLog(self.run.file("memory.jsonl"), {}, budget_bytes=None),
            report_progress=lambda done, total: None,
            event=lambda name, **facts: self.events.append({"event": name, **facts}),
            should_stop=lambda: False,
        )
        units = stage.units(self.run, self.study, listing, key=key)
        for unit in units:
            stage.work(self.run, self.study, unit, context)
        stage.gather(self.run, self.study, listing, context)
        return [unit.name for unit in units]

    def predictions(self, model: str) -> pl.DataFrame:
        parts = [
            pl.read_parquet(self.run.fold(model, fold) / "predictions.parquet") for fold in FOLDS
        ]
        return pl.concat(parts).sort("video_id")

    def of_fold(self, model: str, fold: int) -> list[list[float]]:
        path = self.run.fold(model, fold) / "predictions.parquet"
        return pl.read_parquet(path)["probabilities"].to_list()


@pytest.fixture
def combined(trained: Callable[..., object]) -> Combined:
    made = trained().write()
    found = Combined(made.run, made.study)
    assert sorted(found.work("a" * 64)) == sorted(HOWS)
    return found


def test_each_fold_is_predicted_by_what_the_other_folds_taught(combined: Combined):
    tables = [combined.predictions(model) for model in MEMBERS]
    said = np.stack([np.array(table["probabilities"].to_list()) for table in tables])
    targets = tables[0]["target"].cast(pl.Int64).to_numpy()
    folds = tables[0]["fold"].to_numpy()
    for how in HOWS:
        model = Ensemble(how=how)
        for fold in FOLDS:
            own = folds == fold
            weights = model.learn(said[:, ~own], targets[~own], balanced=False)
            wanted = model.combine(weights, said[:, own])
            np.testing.assert_array_equal(combined.of_fold(how, fold), wanted)
    ids = combined.predictions("mean").select("video_id", "fold", "group", "target")
    assert ids.equals(tables[0].select(ids.columns))


@pytest.mark.parametrize("fold", [1, 4])
def test_no_label_of_a_folds_own_videos_reaches_what_is_used_on_it(combined: Combined, fold: int):
    before = {(how, each): combined.of_fold(how, each) for how in HOWS for each in FOLDS}
    for model in MEMBERS:
        path = combined.run.fold(model, fold) / "predictions.parquet"
        table = pl.read_parquet(path)
        table.with_columns(target=(1 - pl.col("target")).cast(pl.Int32)).write_parquet(path)
    assert len(combined.work("b" * 64)) == len(HOWS)
    for (how, each), told in before.items():
        same = combined.of_fold(how, each) == told
        assert same == (how == "mean" or each == fold)


def test_what_stands_is_not_done_again_and_the_report_says_how_they_are_made(combined: Combined):
    assert combined.work("a" * 64) == []
    told = read_json(combined.run.file("ensemble.json"))
    assert told["weighted"]["of"] == list(MEMBERS)
    shares = np.array(told["weighted"]["share_by_fold"])
    assert shares.shape == (5, 2)
    np.testing.assert_allclose(shares.sum(1), 1)
    found = "\n".join(str(line) for line in decisions(combined.events))
    assert "mean is the mean of handcrafted_logistic, naive_cnn" in found
    assert "learnt for each fold from the others' predictions" in found
    (combined.run.fold("stacked", 3) / "result.json").unlink()
    assert combined.work("a" * 64) == ["stacked"]

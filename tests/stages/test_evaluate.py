"""The evaluation of a run: nested, by group and by subset, beside controls."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from reelfit.errors import RunError
from reelfit.stages.evaluate import Evaluate
from reelfit.stages.evaluated import CONTROL
from reelfit.stages.judging import OF_SUBSETS, adjust
from reelfit.stages.listed import listing_of


def area(rows: pl.DataFrame) -> float:
    scores = np.array(rows["probabilities"].to_list())[:, 1]
    return float(roc_auc_score(rows["target"].to_numpy(), scores))


def one(frame: pl.DataFrame, **where: Any) -> dict[str, Any]:
    return frame.filter(**where).row(0, named=True)


def test_each_video_and_each_fold_is_scored_as_scikit_learn_does(evaluated_run) -> None:
    predictions = evaluated_run.table("predictions")
    summary = evaluated_run.table("summary")
    results = pl.read_ipc(evaluated_run.run.file("kfold_results.feather"))
    for model in evaluated_run.skills:
        of_model = predictions.filter(model=model)
        found = one(summary, model=model, metric="roc_auc")
        assert found["out_of_fold"] == pytest.approx(area(of_model))
        assert found["low"] < found["out_of_fold"] < found["high"]
        for fold in range(1, 6):
            part = of_model.filter(fold=fold)
            value = one(results, model=model, fold=fold, metric="accuracy")["value"]
            assert value == pytest.approx(accuracy_score(part["target"], part["predicted"]))


def test_a_groups_videos_of_one_class_are_averaged_before_they_are_scored(trained) -> None:
    run = trained().write()
    tables = {name: run.run.fold("naive_cnn", 1) / "predictions.parquet" for name in ("one",)}
    part = pl.read_parquet(tables["one"])
    part.with_columns(target=pl.lit(1, pl.Int32)).write_parquet(tables["one"])  # whole groups
    run.evaluate()
    predictions = run.table("predictions").filter(model="naive_cnn")
    scores = predictions.with_columns(score=pl.col("probabilities").list.get(1))
    items = scores.group_by("group", "target").agg(pl.col("score").mean())
    found = one(run.table("group_summary"), model="naive_cnn", metric="roc_auc")
    assert found["items"] == items.height < 60
    assert found["value"] == pytest.approx(roc_auc_score(items["target"], items["score"]))
    assert found["low"] < found["value"] < found["high"]


def test_no_label_of_a_fold_plays_a_part_in_its_threshold_and_temperature(evaluated_run) -> None:
    predictions = evaluated_run.table("predictions").filter(model="naive_cnn")
    before = adjust(predictions)
    for fold in range(1, 6):
        turned = predictions.with_columns(
            target=pl.when(pl.col("fold") == fold).then(1 - pl.col("target")).otherwise("target")
        )
        after = adjust(turned)
        chosen = ["temperature", "threshold", "decided", "probabilities"]
        held = [frame.filter(fold=fold).select(chosen) for frame in (before, after)]
        assert held[0].equals(held[1])
        others = [frame.filter(pl.col("fold") != fold).select(chosen) for frame in (before, after)]
        assert not others[0].equals(others[1]), "the other folds' choices do see it"


def test_a_temperature_of_other_folds_makes_a_model_that_is_too_firm_milder(evaluated_run) -> None:
    adjusted = evaluated_run.table("adjusted").filter(model="handcrafted_logistic")
    assert adjusted["temperature"].min() > 1.5
    assert adjusted["threshold"].is_between(0, 1).all()
    calibration = evaluated_run.table("calibration").filter(model="handcrafted_logistic")
    for row in calibration.iter_rows(named=True):
        assert row["after"] < row["before"], row["metric"]


def test_subsets_are_scored_and_those_that_cannot_be_say_why(evaluated_run) -> None:
    subsets = evaluated_run.table("subsets").filter(model="naive_cnn")
    predictions = evaluated_run.table("predictions").filter(model="naive_cnn")
    columns = subsets["column"].unique(maintain_order=True).to_list()
    assert columns == ["shorter side", "codec", "platform", "kind"]
    sizes = subsets.filter(metric="roc_auc").group_by("column").agg(pl.col("videos").sum())
    assert sizes["videos"].to_list() == [60] * 4
    bands = subsets.filter(column="shorter side")["subset"].unique().sort().to_list()
    assert bands == ["1080 to 2159", "360 to 719"]
    whole = one(subsets, column="codec", metric="roc_auc")
    assert whole["value"] == pytest.approx(area(predictions))
    remarks = {
        (row["column"], row["subset"]): row["remark"]
        for row in subsets.filter(metric="roc_auc").iter_rows(named=True)
    }
    assert remarks["kind", "rare"].startswith("fewer than 5 groups")
    assert remarks["kind", "tampered alone"].startswith("one class alone")
    assert remarks["platform", "web"] == ""
    assert ("platform", "not said") in remarks
    assert set(subsets["metric"]) == set(OF_SUBSETS)
    none = subsets.filter(pl.col("remark") != "")
    assert none["value"].null_count() == none.height


def test_a_changed_column_is_a_reason_to_evaluate_again(evaluated_run) -> None:
    stage, study = Evaluate(), evaluated_run.study
    before = stage.inputs(listing_of(study))
    table = pl.read_csv(evaluated_run.folder / "videos.csv")
    table.with_columns(kind=pl.lit("x")).write_csv(evaluated_run.folder / "videos.csv")
    after = stage.inputs(listing_of(study))
    table.write_csv(evaluated_run.folder / "videos.csv")
    assert before != after
    assert before == stage.inputs(listing_of(study))


def test_every_pair_and_every_model_with_the_control_is_compared(evaluated_run) -> None:
    found = evaluated_run.table("comparison")
    assert found.select("first", "second", "against").rows() == [
        ("naive_cnn", "handcrafted_logistic", "model"),
        ("handcrafted_logistic", CONTROL, "control"),
        ("naive_cnn", CONTROL, "control"),
    ]
    pair = found.row(0, named=True)
    areas = [
        area(evaluated_run.table("predictions").filter(model=pair[n])) for n in found.columns[:2]
    ]
    assert pair["difference"] == pytest.approx(areas[0] - areas[1])
    assert pair["low"] < pair["difference"] < pair["high"]
    assert 0 < pair["adjusted_p_groups"] < 0.05


def test_facts_that_say_nothing_of_the_labels_find_nothing(evaluated_run) -> None:
    together = evaluated_run.table("control_facts").row(0, named=True)
    assert together["fact"] == "all facts"
    assert together["low"] < 0.5
    predictions = evaluated_run.table("control_predictions")
    assert together["value"] == pytest.approx(area(predictions))
    first = evaluated_run.table("predictions").filter(model="naive_cnn")
    assert predictions.select("video_id", "fold").equals(first.select("video_id", "fold"))


def test_a_label_that_leaks_through_the_bit_rate_is_found_and_the_fact_named(trained) -> None:
    run = trained()
    run.bit_rates = run.bit_rates + 6000 * (np.arange(60) % 2)
    facts = run.write().evaluate().table("control_facts")
    assert run.table("permutations").height == 0
    assert all(done <= total for done, total in run.told)
    assert facts.row(0, named=True)["low"] > 0.5
    leaking = facts.slice(1).filter(pl.col("low") > 0.5)["fact"].to_list()
    assert set(leaking) == {"bit_rate", "bits_per_pixel"}


def test_permuted_labels_say_which_way_was_taken_and_what_they_reach(evaluated_run) -> None:
    found = evaluated_run.table("permutations")
    assert found.select("model", "way", "permutations").rows() == [
        ("handcrafted_logistic", "refit", 19),
        ("naive_cnn", "labels", 19),
    ]
    network = one(found, model="naive_cnn")
    assert network["p"] == pytest.approx(1 / 20)
    assert network["mean"] == pytest.approx(0.5, abs=0.1)
    assert network["high"] < network["value"]
    fitted = one(found, model="handcrafted_logistic")
    assert fitted["mean"] == pytest.approx(0.5, abs=0.15)
    assert 0 < fitted["p"] <= 1


def test_a_probability_that_is_no_number_names_the_model_and_the_videos(trained) -> None:
    run = trained().write()
    path = run.run.fold("naive_cnn", 2) / "predictions.parquet"
    table = pl.read_parquet(path)
    broken = [[np.nan, np.nan], *table["probabilities"].to_list()[1:]]
    table.with_columns(probabilities=pl.Series(broken, dtype=pl.List(pl.Float64))).write_parquet(
        path
    )
    (name,) = (
        run.table("folds").filter(pl.col("video_id") == table["video_id"][0])["path"].to_list()
    )
    with pytest.raises(RunError, match=rf"naive_cnn gave no number .* \(fold 2\): {name}"):
        run.evaluate()


def test_more_classes_are_judged_as_two_are(trained) -> None:
    run = trained(permutations=2).write()
    for model in run.skills:
        for fold in range(1, 6):
            path = run.run.fold(model, fold) / "predictions.parquet"
            table = pl.read_parquet(path)
            thirds = [[p[0] / 2, p[0] / 2, p[1]] for p in table["probabilities"].to_list()]
            spread = table.with_columns(
                target=pl.Series(np.where(table["target"] == 1, 2, np.arange(12) // 2 % 2)).cast(
                    pl.Int32
                ),
                probabilities=pl.Series(thirds, dtype=pl.List(pl.Float64)),
            )
            spread.write_parquet(path)
    found = run.evaluate()
    assert found.table("permutations")["p"].null_count() == 0
    assert found.table("adjusted")["threshold"].null_count() == 120
    assert found.table("comparison")["difference"].null_count() == 0

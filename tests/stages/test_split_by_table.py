"""Folds as the table has them, and those of items with texts: no item and no group on two sides."""

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from reelfit.data.tables import FOLDS, TEXTS, read_table
from reelfit.errors import RunError, StudyError
from reelfit.files import write_json
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run, start_run
from reelfit.stages.clips import Clips
from reelfit.stages.features import Features
from reelfit.stages.fold import sides_of
from reelfit.stages.index import Index
from reelfit.stages.leakage import require_no_leak
from reelfit.stages.listed import listing_of
from reelfit.stages.split import Split
from reelfit.stages.stage import Context
from reelfit.study import Study

CLASSES = {"folds": {"column": "split"}}
TEXTS_OF = {"task": "retrieve", "videos": {"text": "caption", "item": "study"}}


def write_video(path: Path, seed: int, *, brighter: int = 0) -> None:
    """Five frames of blobs, which no other seed has."""
    blobs = np.random.default_rng(seed).integers(0, 200, (5, 6, 8, 3), np.uint8)
    np.save(path, blobs.repeat(6, axis=1).repeat(6, axis=2) + np.uint8(brighter))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos; ``twin`` has the content of 0, ``alike`` is 1 in other light."""
    folder = tmp_path_factory.mktemp("arrays")
    for number in range(8):
        write_video(folder / f"{number}.npy", number)
    write_video(folder / "twin.npy", 0)
    write_video(folder / "alike.npy", 1, brighter=9)
    np.save(folder / "bad.npy", np.zeros((2, 3)))
    with h5py.File(folder / "all.h5", "w") as opened:
        opened["clips/six"] = np.load(folder / "6.npy")
    return folder


def study_of(folder: Path, rows: list[dict[str, Any]], settings: dict[str, Any]) -> Study:
    pl.DataFrame(rows).write_csv(folder / "videos.csv")
    made = {
        "models": ["naive_cnn"],
        "clips": {"frames": 3, "size": 16, "copies": 1},
        "runs": folder / "runs",
        **settings,
    }
    made["videos"] = {"table": folder / "videos.csv", **settings.get("videos", {})}
    return Study.model_validate(made)


def run_until_split(
    study: Study, stages: tuple[Any, ...] = (Index(), Clips(), Split())
) -> tuple[Run, dict[str, Any]]:
    listing = listing_of(study)
    facts = {"classes": listing.classes, "folds": listing.judged_folds(study.folds.count)}
    run = start_run(study, listing_digest=listing.digest, facts=facts)
    kinds = {"naive_cnn": "network", "handcrafted_logistic": "features"}
    models = {choice.id: {"kind": kinds[choice.name]} for choice in study.models}
    write_json(run.file("models.json"), models)  # as the check leaves them
    told: dict[str, Any] = {}
    context = Context(
        key="0" * 64,
        threads=1,
        memory=MemoryLog(run.file("memory.jsonl"), {}),
        report_progress=lambda _done, _total: None,
        event=lambda name, **facts: told.update({name: facts}),
        should_stop=lambda: False,
    )
    for stage in stages:
        for unit in stage.units(run, study, listing, key=context.key):
            stage.work(run, study, unit, context)
        stage.gather(run, study, listing, context)
    return run, told


def labelled(*splits: str, **more: list[str]) -> list[dict[str, Any]]:
    return [
        {"path": f"{number}.npy", "label": "ab"[number % 2], "split": split}
        | {name: values[number] for name, values in more.items()}
        for number, split in enumerate(splits)
    ]


def folds_of(run: Run) -> dict[str, int]:
    return dict(read_table(run.file("folds.parquet"), FOLDS).select("path", "fold").iter_rows())


def test_words_of_the_table_are_the_sides(videos):
    rows = labelled("train", "train", "test", "test", "train", "train", "val")
    run, _ = run_until_split(study_of(videos, rows, CLASSES))
    assert folds_of(run) == {f"{n}.npy": int(n in (2, 3)) for n in range(6)}
    train, validation = sides_of(run, 1)
    assert set(validation["path"]) == {"2.npy", "3.npy"}
    assert set(train["path"]) == {"0.npy", "1.npy", "4.npy", "5.npy"}
    assert set(train["copy"]) == {0, 1}
    rejected = pl.read_parquet(run.file("rejected.parquet"))
    assert rejected.select("path", "row", "reason").rows() == [
        ("6.npy", 7, "its split is validation, and test is what is judged")
    ]


def test_numbers_of_the_table_are_the_folds(videos):
    rows = labelled("0", "0", "1", "1", "2", "2")
    run, _ = run_until_split(study_of(videos, rows, CLASSES))
    assert folds_of(run) == {f"{n}.npy": n // 2 + 1 for n in range(6)}
    assert run.folds() == [1, 2, 3]


def test_count_and_column_together_are_refused_and_a_study_comes_back_as_it_was(videos):
    with pytest.raises(ValueError, match="either count or column"):
        study_of(videos, labelled("1", "2"), {"folds": {"column": "split", "count": 3}})
    with pytest.raises(ValueError, match="a count of folds, or the column"):
        study_of(videos, labelled("1", "2"), {"folds": {"count": None}})
    study = study_of(videos, labelled("1", "2"), CLASSES)
    assert Study.model_validate(study.model_dump(mode="json")) == study


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"path": "twin.npy", "label": "a", "split": "test"},
            r"that have one content stand on both sides: 0.npy \(train\) and twin.npy \(test\)",
        ),
        (
            {"path": "alike.npy", "label": "b", "split": "test"},
            r"look alike stand on both sides.*alike.npy.*folds.near_duplicates: null",
        ),
    ],
)
def test_a_copy_on_the_other_side_ends_the_run_and_both_are_named(videos, more, said):
    rows = [*labelled("train", "train", "test", "test"), more]
    with pytest.raises(StudyError, match=said) as told:
        run_until_split(study_of(videos, rows, CLASSES))
    assert told.value.place == ("folds", "column")
    on_one_side = [*rows[:-1], more | {"split": "train"}]
    run, _ = run_until_split(study_of(videos, on_one_side, CLASSES))
    require_no_leak(run)


def test_look_alikes_stay_where_the_table_has_them_if_the_user_says_they_are_none(videos):
    rows = [
        *labelled("train", "train", "test", "test"),
        {"path": "alike.npy", "label": "b", "split": "test"},
    ]
    asked = {"folds": {"column": "split", "near_duplicates": None}}
    run, _ = run_until_split(study_of(videos, rows, asked))
    assert folds_of(run)["alike.npy"] == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [*labelled("train", "train"), {"path": "bad.npy", "label": "a", "split": "test"}],
            "fold 1 has no video left to be judged by: see rejected.parquet",
        ),
        (labelled("train", "test", "train", "test"), "no video of the class b to learn from"),
    ],
)
def test_a_side_that_lacks_videos_or_a_class_ends_the_run(videos, rows, said):
    with pytest.raises(StudyError, match=said):
        run_until_split(study_of(videos, rows, CLASSES))


def test_a_group_that_someone_put_on_both_sides_later_is_found(videos):
    rows = labelled("train", "train", "test", "test", patient=["p0", "p1", "p2", "p3"])
    study = study_of(videos, rows, CLASSES | {"videos": {"group": "patient"}})
    run, _ = run_until_split(study)
    index = pl.read_parquet(run.file("index.parquet"))
    torn = pl.when(pl.col("path") == "0.npy").then(pl.lit("p2")).otherwise("group")
    index.with_columns(torn.alias("group")).write_parquet(run.file("index.parquet"))
    with pytest.raises(RunError, match=r"one group of the table.*0.npy, 2.npy"):
        sides_of(run, 1)


CAPTIONS = [
    ("0.npy", "s0", "p0", "a disc", "train"),
    ("1.npy", "s0", "p0", "round", "train"),
    ("0.npy", "s0", "p0", "red", "train"),
    ("2.npy", "s2", "p1", "a square", "train"),
    ("all.h5::clips/six", "s3", "p1", "a disc", "train"),
    ("3.npy", "s4", "p2", "a square", "test"),
    ("4.npy", "s5", "p3", "a star", "test"),
]
CAPTIONED = [
    dict(zip(("path", "study", "patient", "caption", "split"), row, strict=True))
    for row in CAPTIONS
]


@pytest.mark.parametrize("folds", [{"column": "split"}, {"count": 3}])
def test_texts_and_folds_have_the_same_numbers_of_items_and_no_group_is_torn(videos, folds):
    asked = TEXTS_OF["videos"] | {"group": "patient"}
    study = study_of(videos, CAPTIONED, TEXTS_OF | {"videos": asked, "folds": folds})
    run, told = run_until_split(study)
    texts = read_table(run.file("texts.parquet"), TEXTS)
    assert texts.rows() == [
        ("s0", 0, 0, "a disc"),
        ("s0", 0, 1, "round"),
        ("s0", 0, 2, "red"),
        ("s2", 1, 3, "a square"),
        ("s3", 2, 0, "a disc"),
        ("s4", 3, 3, "a square"),
        ("s5", 4, 4, "a star"),
    ]
    table = read_table(run.file("folds.parquet"), FOLDS)
    number = dict(texts.select("item", "target").iter_rows())
    assert table["target"].to_list() == [number[item] for item in table["label"]]
    assert table.height == 6
    for column in ("group", "label"):
        assert set(table.group_by(column).agg(pl.n_unique("fold"))["fold"]) == {1}
    assert sum(amount for *_, amount in told["split"]["balance"]) == 6
    if folds == {"column": "split"}:
        assert folds_of(run)["3.npy"] == folds_of(run)["4.npy"] == 1
        assert folds_of(run)["all.h5::clips/six"] == 0
    else:
        assert set(table["fold"]) == {1, 2, 3}


def test_a_video_under_two_names_is_one_item_with_the_texts_of_both(videos):
    rows = [
        {"path": f"{name}.npy", "caption": text}
        for name, text in zip(("0", "1", "2", "twin"), ("a", "b", "a", "c"), strict=True)
    ]
    asked = {"task": "retrieve", "videos": {"text": "caption"}, "folds": {"count": 3}}
    run, _ = run_until_split(study_of(videos, rows, asked))
    texts = read_table(run.file("texts.parquet"), TEXTS)
    assert texts.select("item", "text").rows() == [
        ("0.npy", "a"),
        ("1.npy", "b"),
        ("2.npy", "a"),
        ("0.npy", "c"),
    ]
    assert texts["target"].to_list() == [0, 1, 2, 0]
    assert read_table(run.file("folds.parquet"), FOLDS).height == 3


def test_one_content_in_two_items_of_the_table_ends_the_run(videos):
    more = {"path": "twin.npy", "study": "s9", "patient": "p9", "caption": "z", "split": "train"}
    with pytest.raises(StudyError, match=r"same content and different items.*0.npy, twin.npy"):
        run_until_split(study_of(videos, [*CAPTIONED, more], TEXTS_OF | {"folds": {"count": 2}}))


def test_more_folds_than_groups_are_refused_before_anything_is_decoded(videos):
    study = study_of(videos, CAPTIONED, TEXTS_OF | {"folds": {"count": 6}})
    with pytest.raises(StudyError, match=r"folds.count is 6, but there are only 5 groups"):
        run_until_split(study, (Index(),))


@pytest.mark.parametrize(
    ("settings", "said", "place"),
    [
        ({"task": "retrieve"}, "needs videos.text", ("videos", "task")),
        (TEXTS_OF | {"task": "classify"}, "videos.text is for the task retrieve", None),
        ({"videos": {"item": "study"}}, "videos.item is for the task retrieve", None),
    ],
)
def test_settings_of_another_task_are_refused(videos, settings, said, place):
    with pytest.raises(StudyError, match=said):
        listing_of(study_of(videos, CAPTIONED, settings))


def test_arrays_are_indexed_clipped_and_measured_as_videos_are(videos):
    rows = [
        *labelled("train", "train", "test", "test"),
        {"path": "all.h5::clips/six", "label": "a", "split": "train"},
        {"path": "bad.npy", "label": "a", "split": "train"},
    ]
    study = study_of(videos, rows, CLASSES | {"models": ["handcrafted_logistic"]})
    run, _ = run_until_split(study, (Index(), Clips(), Split(), Features()))
    index = pl.read_parquet(run.file("index.parquet"))
    assert index.height == 5
    assert index["fps"].null_count() == index["duration_seconds"].null_count() == 5
    assert set(index["codec"]) == {"npy", "hdf5"}
    clips = pl.read_parquet(run.file("clips.parquet"))
    assert set(clips.filter(pl.col("copy") == 0)["frames"].to_list()[0]) == {0, 2, 4}
    assert set(clips["strategy"]) == {"groups"}
    rejected = pl.read_parquet(run.file("rejected.parquet"))
    assert rejected.select("path", "reason").rows() == [("bad.npy", "not an array of frames")]
    prints = pl.read_parquet(run.file("fingerprints.parquet"))
    assert prints["fingerprint"].list.len().to_list() == [3] * 5
    features = pl.read_parquet(run.file("features.parquet"))
    assert features.height == 5
    assert features["frame_difference_mean"].min() > 0


def test_twenty_thousand_items_are_split_in_seconds(tmp_path):
    """Tables as the stages before leave them; nothing about them is decoded."""
    count = 20_000
    numbers = pl.int_range(count, eager=True).cast(pl.String)
    rows = pl.DataFrame({"path": "v" + numbers + ".npy", "caption": "text " + numbers.str.head(3)})
    rows.write_csv(tmp_path / "videos.csv")
    study = Study.model_validate(
        {
            "task": "retrieve",
            "videos": {"table": tmp_path / "videos.csv", "text": "caption"},
            "folds": {"near_duplicates": None},
            "models": ["naive_cnn"],
            "runs": tmp_path / "runs",
        }
    )
    listing = listing_of(study)
    run = start_run(study, listing_digest=listing.digest, facts={"classes": [], "folds": [1]})
    ids = [f"{number * 7919 % 2**31:032x}" for number in range(count)]
    write_tables(run, listing.rows, ids)
    context = Context(
        key="0" * 64,
        threads=1,
        memory=MemoryLog(run.file("memory.jsonl"), {}),
        report_progress=lambda _done, _total: None,
        event=lambda _name, **_facts: None,
        should_stop=lambda: False,
    )
    began = time.process_time()
    Split().gather(run, study, listing, context)
    assert time.process_time() - began < 15
    folds = read_table(run.file("folds.parquet"), FOLDS)
    assert folds.group_by("fold").len()["len"].to_list() == [count // 5] * 5
    assert read_table(run.file("texts.parquet"), TEXTS)["text_id"].n_unique() == 1000


def write_tables(run: Run, rows: pl.DataFrame, ids: list[str]) -> None:
    from reelfit.data.tables import CLIPS, FINGERPRINTS, INDEX

    facts: dict[str, Any] = {"width": 8, "height": 8, "codec": "npy", "pixel_aspect": 1.0}
    facts |= {"rotation": 0, "colour_matrix": "rgb", "colour_tagged": True, "hdr": False}
    facts |= {"strategy": "groups", "file_bytes": 9, "copy": 0, "shard": "s.tar", "offset": 0}
    facts |= {"bytes": 9, "crc32": 0, "augmentation": "{}"}
    videos = rows.with_columns(
        pl.Series("video_id", ids), **{n: pl.lit(v) for n, v in facts.items()}
    )
    for name, schema in (("index", INDEX), ("clips", CLIPS), ("fingerprints", FINGERPRINTS)):
        types = {column: each.dtype.type for column, each in schema.columns.items()}
        empty = [pl.lit(None).alias(column) for column in types if column not in videos.columns]
        table = videos.with_columns(empty).select(*types).cast(types)
        lists = [name for name, type_ in types.items() if isinstance(type_, pl.List)]
        table = table.with_columns(pl.col(lists).fill_null([]))
        table.write_parquet(run.file(f"{name}.parquet"))

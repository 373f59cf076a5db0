"""Copies of a video and what looks like it stay on one side of each fold, or the run stops."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
import torch

from reelfit.data.listing import Listing
from reelfit.data.tables import DUPLICATES, FOLDS, read_table
from reelfit.errors import RunError, StudyError
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run, start_run
from reelfit.stages.clips import Clips
from reelfit.stages.fold import sides_of
from reelfit.stages.index import Index
from reelfit.stages.leakage import require_apart, require_no_leak
from reelfit.stages.listed import listing_of
from reelfit.stages.split import Split
from reelfit.stages.stage import Context
from reelfit.study import Study
from reelfit.study_yaml import read_study

STUDY = """\
videos: {table: videos.csv, path: path, label: label, group: source}
clips: {frames: 8, size: 32, copies: 1, augment: light}
folds: {count: 3}
models: [naive_cnn]
"""


def scene(seed: int, moment: int) -> np.ndarray:
    """What a camera sees that pans over noise of all sizes; ``height width 3``."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((3, 144, 256))
    for octave in range(1, 7):
        noise = torch.randn((1, 3, 2**octave, 2**octave), generator=generator) / 2**octave
        total += torch.nn.functional.interpolate(noise, (144, 256), mode="bicubic")[0]
    part = total[:, 8:-8, 2 * moment : 2 * moment + 192]
    return (128 + 80 * part).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def title(text: int) -> np.ndarray:
    """White bars on black, as a line of letters."""
    card = np.zeros((128, 192, 3), np.uint8)
    for letter in np.flatnonzero(np.random.default_rng(text).random(16) < 0.6):
        card[56:72, 16 + 10 * letter : 22 + 10 * letter] = 255
    return card


def write(path: Path, pictures: Iterator[np.ndarray], *, crf: int = 23) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": str(crf)})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width = (side // 2 * 2 for side in picture.shape[:2])
            cut = np.ascontiguousarray(picture[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        container.mux(stream.encode(None))


def of_scene(seed: int) -> Iterator[np.ndarray]:
    return (scene(seed, moment) for moment in range(24))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine scenes, four changed copies of the first ones, and videos that show next to nothing."""
    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for seed in range(9):
        write(folder / f"scene{seed}.mp4", of_scene(seed))
        rows.append((f"scene{seed}.mp4", "ab"[seed % 2], f"s{seed}"))
    write(folder / "encoded.mp4", of_scene(0), crf=38)
    write(folder / "scaled.mp4", (picture[::2, ::2] for picture in of_scene(1)))
    write(folder / "cropped.mp4", (picture[1:-1, 2:-2] for picture in of_scene(2)))
    write(folder / "brighter.mp4", (picture // 5 * 4 + 40 for picture in of_scene(3)))
    copies = {"encoded": "a", "scaled": "a", "cropped": "a", "brighter": "b"}  # scene1 is b
    black = np.zeros((128, 192, 3), np.uint8)
    for name, colour in (("black", 0), ("grey", 90)):
        write(folder / f"{name}.mp4", (black + np.uint8(colour) for _ in range(20)))
    for number in range(3):  # black, but for one title that all have
        shown = [title(0) if at in (3, 4, 5) else black for at in range(24)]
        shown[-1 - number] = scene(90 + number, 0)
        write(folder / f"titled{number}.mp4", iter(shown))
    for number in range(2):  # one picture all the time
        write(folder / f"static{number}.mp4", (scene(70 + number, 0) for _ in range(20)))
        write(folder / f"card{number}.mp4", (title(number) for _ in range(20)))
    flat = ["black", "grey", *(f"titled{n}" for n in range(3))]
    flat += [f"{kind}{n}" for kind in ("static", "card") for n in range(2)]
    rows += [(f"{name}.mp4", label, name) for name, label in copies.items()]
    rows += [(f"{name}.mp4", "a", name) for name in flat]
    with (folder / "videos.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows([("path", "label", "source"), *rows])
    (folder / "study.yaml").write_text(STUDY)
    return folder


def facts_of(listing: Listing, study: Study) -> dict[str, Any]:
    return {"classes": listing.classes, "folds": listing.judged_folds(study.folds.count)}


def run_until_split(folder: Path, *changes: str) -> tuple[Run, Study, dict[str, Any]]:
    """A run of its stages up to the folds, in this process, and what the split told."""
    study = read_study(folder / "study.yaml", changes=changes, environment={})
    listing = listing_of(study)
    run = start_run(study, listing_digest=listing.digest, facts=facts_of(listing, study))
    told: dict[str, Any] = {}
    context = Context(
        key="0" * 64,
        threads=1,
        memory=MemoryLog(run.file("memory.jsonl"), {}),
        report_progress=lambda _done, _total: None,
        event=lambda name, **facts: told.update({name: facts}),
        should_stop=lambda: False,
    )
    for stage in (Index(), Clips(), Split()):
        for unit in stage.units(run, study, listing, key=context.key):
            stage.work(run, study, unit, context)
        stage.gather(run, study, listing, context)
    return run, study, told["split"]


@pytest.fixture(scope="module")
def split(videos: Path) -> tuple[Run, Study, dict[str, Any]]:
    return run_until_split(videos)


def pairs_of(run: Run) -> set[frozenset[str]]:
    found = read_table(run.file("duplicates.parquet"), DUPLICATES)
    return {
        frozenset(path.removesuffix(".mp4") for path in pair)
        for pair in found.select("path", "other_path").iter_rows()
    }


def folds_of(run: Run) -> dict[str, int]:
    folds = read_table(run.file("folds.parquet"), FOLDS)
    return {path.removesuffix(".mp4"): fold for path, fold in folds.select("path", "fold").rows()}


def test_changed_copies_are_found_and_nothing_else_is(split):
    run, _, told = split
    wanted = [("scene0", "encoded"), ("scene1", "scaled"), ("scene2", "cropped")]
    wanted += [("scene3", "brighter")]
    assert pairs_of(run) == set(map(frozenset, wanted))
    assert (told["look_alikes"], told["joined"], told["largest"]) == (4, 4, 2)
    folds = folds_of(run)
    assert all(folds[one] == folds[other] for one, other in wanted)


def test_without_the_search_copies_are_videos_like_any_other(videos):
    run, _, told = run_until_split(videos, "folds.near_duplicates=null")
    assert pairs_of(run) == set()
    assert (told["look_alikes"], told["joined"]) == (0, 0)
    groups = read_table(run.file("folds.parquet"), FOLDS)["group"]
    assert groups.n_unique() == groups.len()


def test_the_distance_is_a_setting(videos):
    run, _, _ = run_until_split(videos, "folds.near_duplicates=0")
    assert pairs_of(run) < pairs_of(run_until_split(videos, "folds.near_duplicates=8")[0])


def test_one_scene_in_all_videos_is_an_error_that_names_the_group_and_the_setting(tmp_path):
    rows = []
    for number in range(6):
        write(tmp_path / f"{number}.mp4", of_scene(0), crf=20 + number)
        rows.append(f"{number}.mp4,{'ab'[number % 2]},s{number}")
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,source", *rows]))
    (tmp_path / "study.yaml").write_text(STUDY)
    with pytest.raises(StudyError, match=r"s0, holds 6 of 6 videos.*folds\.near_duplicates: null"):
        run_until_split(tmp_path)


@pytest.fixture
def tampered(split, tmp_path):
    """The run with one cell of its folds changed: ``tampered("scaled", 2, of="fold")``."""
    run = split[0]
    copy = Run(tmp_path / run.run_id)
    copy.folder.mkdir()
    for name in ("index", "rejected", "clips", "duplicates", "folds"):
        copy.file(f"{name}.parquet").write_bytes(run.file(f"{name}.parquet").read_bytes())

    def change(name: str, *, fold: int) -> Run:
        folds = pl.read_parquet(copy.file("folds.parquet"))
        chosen = pl.when(pl.col("path") == f"{name}.mp4").then(fold).otherwise(pl.col("fold"))
        folds.with_columns(chosen.cast(pl.Int32).alias("fold")).write_parquet(
            copy.file("folds.parquet")
        )
        return copy

    return change


def test_each_fold_of_a_run_has_its_videos_on_one_side(split):
    run, *_ = split
    for fold in run.folds():
        train, validation = sides_of(run, fold)
        assert not set(train["video_id"]) & set(validation["video_id"])
        assert not set(train["group"]) & set(validation["group"])
        assert set(validation["copy"]) == {0}


@pytest.mark.parametrize("name", ["scaled", "scene1"])
def test_a_look_alike_moved_to_another_fold_stops_what_would_train_on_it(split, tampered, name):
    run = tampered(name, fold=folds_of(split[0])[name] % 3 + 1)
    for check in (lambda: sides_of(run, 1), lambda: require_no_leak(run)):
        with pytest.raises(RunError, match=r"stand on both sides") as told:
            check()
        assert "scaled.mp4" in str(told.value)
        assert "scene1.mp4" in str(told.value)
        assert "--fresh" in str(told.value)


def test_a_pair_alone_says_so_where_the_groups_were_changed_with_the_fold(split, tampered):
    run = tampered("scaled", fold=folds_of(split[0])["scaled"] % 3 + 1)
    folds = pl.read_parquet(run.file("folds.parquet"))
    own = pl.when(pl.col("path") == "scaled.mp4").then(pl.lit("own")).otherwise(pl.col("group"))
    folds.with_columns(own.alias("group")).write_parquet(run.file("folds.parquet"))
    with pytest.raises(RunError, match="nearly the same pictures"):
        require_no_leak(run)


def test_a_group_of_the_table_and_a_content_on_two_sides_stop_the_run(split, tampered):
    run = tampered("scene8", fold=folds_of(split[0])["scene8"])
    index = pl.read_parquet(run.file("index.parquet"))
    one = pl.when(pl.col("path").is_in(["scene7.mp4", "scene8.mp4", "scene6.mp4"]))
    index.with_columns(group=one.then(pl.lit("one")).otherwise(pl.col("group"))).write_parquet(
        run.file("index.parquet")
    )
    folds = pl.read_parquet(run.file("folds.parquet"))
    folds.with_columns(
        fold=pl.when(pl.col("path") == "scene8.mp4").then(1).otherwise(2).cast(pl.Int32)
    ).write_parquet(run.file("folds.parquet"))
    with pytest.raises(RunError, match=r"one group of the table .* scene6\.mp4, scene7\.mp4"):
        require_no_leak(run)
    twice = folds.filter(pl.col("path") == "scene8.mp4")
    other = twice.with_columns(fold=pl.col("fold") % 3 + 1)
    pl.concat([folds, other.cast({"fold": pl.Int32})]).write_parquet(run.file("folds.parquet"))
    with pytest.raises(RunError, match=r"the same content .*scene8\.mp4"):
        require_no_leak(run)


def test_a_copy_of_a_validation_video_among_training_clips_is_named(split):
    train, validation = sides_of(split[0], 1)
    require_apart(train, validation, fold=1)
    clip = validation.head(1).with_columns(pl.lit(1, pl.Int32).alias("copy"))
    name = clip["path"][0]
    with pytest.raises(RunError, match=rf"fold 1 would learn from .*{name}.*clips on both sides"):
        require_apart(pl.concat([train, clip]), validation, fold=1)
    other = clip.with_columns(video_id=pl.lit("f" * 32))
    with pytest.raises(RunError, match=rf"{name}.*groups on both sides"):
        require_apart(pl.concat([train, other]), validation, fold=1)

"""What another set shares with the study is found with all of its group; the rest is unseen."""

from pathlib import Path

import polars as pl
import pytest

from reelfit.files import write_json
from reelfit.runs import Run
from reelfit.stages.unseen import OF_OTHERS, settle_videos, usable_clips

FRAMES = [3**40 * number % 2**64 for number in range(1, 100)]
"""Numbers whose bits differ in many places."""
Video = tuple[int, str, str, list[int]]
"""Content, path, group, and what its frames look like."""


def write_set(run: Run, videos: list[Video], *, without_features: tuple[str, ...] = ()) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    index = pl.DataFrame(
        [(f"{content:032x}", path, "real", group) for content, path, group, _ in videos],
        schema=["video_id", "path", "label", "group"],
        orient="row",
    )
    index.write_parquet(run.file("index.parquet"))
    each = index.unique("video_id", keep="first", maintain_order=True)
    each.select("video_id", copy=pl.lit(0)).write_parquet(run.file("clips.parquet"))
    frames = {f"{content:032x}": shown for content, _, _, shown in videos}
    told = pl.DataFrame(
        {"video_id": list(frames), "fingerprint": list(frames.values())},
        schema_overrides={"fingerprint": pl.List(pl.UInt64)},
    )
    told.write_parquet(run.file("fingerprints.parquet"))
    rejected = {"path": list(without_features), "stage": ["features"] * len(without_features)}
    schema = {"path": pl.String, "stage": pl.String}
    pl.DataFrame(rejected, schema=schema).write_parquet(run.file("rejected.parquet"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "study" / "run_1")
    write_set(run, [(n, f"own{n}.mp4", f"s{n}", FRAMES[5 * n : 5 * n + 5]) for n in range(4)])
    write_json(run.file("run.json"), {"classes": ["fake", "real"]})
    return run


def test_content_looks_and_their_groups_are_found(run: Run) -> None:
    inside = run.on("lab")
    near = [FRAMES[5] ^ 1, *FRAMES[6:10]]
    videos: list[Video] = [
        (0, "same.mp4", "a", FRAMES[:5]),
        (10, "sister.mp4", "a", FRAMES[50:55]),
        (11, "near.mp4", "b", near),
        (12, "new.mp4", "s3", FRAMES[60:65]),
        (13, "like new.mp4", "d", [FRAMES[60], FRAMES[61], FRAMES[62] ^ 3, *FRAMES[63:65]]),
        (12, "renewed.mp4", "s3", FRAMES[60:65]),
        (14, "without.mp4", "e", FRAMES[70:75]),
        (14, "without it.mp4", "e", FRAMES[70:75]),
    ]
    write_set(inside, videos, without_features=("without.mp4",))
    assert inside.store == run.store
    found = settle_videos(run, inside, most_bits=6)
    told = {row["path"]: row for row in found.to_dicts()}
    assert {path: row["shared"] for path, row in told.items()} == {
        "same.mp4": "content",
        "sister.mp4": "group",
        "near.mp4": "look",
        "new.mp4": None,
        "like new.mp4": None,
    }
    assert told["sister.mp4"]["with"] == told["same.mp4"]["with"] == "own0.mp4"
    assert told["near.mp4"]["with"] == "own1.mp4"
    assert told["new.mp4"]["group"] == told["like new.mp4"]["group"]
    assert set(found["target"]) == {1}
    assert pl.read_parquet(inside.file(OF_OTHERS)).equals(found)
    pairs = pl.read_parquet(inside.file("duplicates.parquet"))
    assert pairs["kind"].to_list() == ["content", "look"]


def test_without_looks_only_content_is_compared_and_an_empty_set_has_nothing(run: Run) -> None:
    inside = run.on("lab")
    write_set(inside, [(9, "near.mp4", "b", FRAMES[5:10]), (2, "same.mp4", "c", FRAMES[:5])])
    found = settle_videos(run, inside, most_bits=None)
    assert dict(found.select("path", "shared").iter_rows()) == {
        "near.mp4": None,
        "same.mp4": "content",
    }
    write_set(inside, [(9, "near.mp4", "b", FRAMES[5:10])], without_features=("near.mp4",))
    assert usable_clips(inside).is_empty()
    assert settle_videos(run, inside, most_bits=6).is_empty()

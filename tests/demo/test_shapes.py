"""The captions of the moving shapes are true to their pixels, and the split is an honest one."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from reelfit.demo import make_shapes_set
from reelfit.demo.shapes import EVERY, NUM_FRAMES, SIDE, split_combinations
from reelfit.files import file_digest
from reelfit.video.decode import decode
from reelfit.video.probe import probe
from reelfit.video.sample import sample_frames

COMBINATIONS, CLIPS_EACH = 60, 2
HUES = {"red": 0, "orange": 30, "yellow": 60, "green": 120, "cyan": 180, "blue": 230}
HUES |= {"purple": 280, "pink": 328}
WAYS = {"left": (-1, 0), "right": (1, 0), "upwards": (0, -1), "downwards": (0, 1)}
QUICK = 0.23
"""Of the side, from the first frame to the last: quickly is more than that, slowly less."""

Shown = list[tuple[dict[str, str], np.ndarray]]
"""Each row of the table, and all frames of its video."""


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    study = make_shapes_set(folder, combinations=COMBINATIONS, clips_each=CLIPS_EACH)
    return study.parent


@pytest.fixture(scope="session")
def shown(shapes: Path) -> Shown:
    every = range(NUM_FRAMES)
    return [(row, decode(shapes / row["video_path"], at=every).numpy()) for row in rows_of(shapes)]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "videos.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in folder.rglob("*") if path.is_file()}


def coloured(frames: np.ndarray) -> np.ndarray:
    """Where the shape is: its paint is bright and pure, the ground is greyish."""
    return (frames.max(1).astype(int) - frames.min(1)) > 80


def centroids(inside: np.ndarray) -> np.ndarray:
    """The mean column and row of each frame, as shares of the side."""
    means = [np.argwhere(frame).mean(0)[::-1] for frame in inside]
    return np.stack(means) / inside.shape[1]


def hue_of(frames: np.ndarray, inside: np.ndarray) -> float:
    """In degrees, of the mean of all that is coloured."""
    red, green, blue = np.moveaxis(frames, 1, 0)[:, inside].astype(float).mean(1)
    return float(np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360)


def shape_of(inside: np.ndarray) -> str:
    """By how strongly the area repeats itself at a third, a fourth and a fifth of a turn."""
    found: dict[int, list[float]] = defaultdict(list)
    for frame in inside:
        rows, columns = np.nonzero(frame)
        place = (columns - columns.mean()) + 1j * (rows - rows.mean())
        for parts in (3, 4, 5):
            moment = abs(np.mean(place**parts)) / np.sqrt(len(place) / np.pi) ** parts
            found[parts].append(moment)
    strength = {parts: float(np.mean(moments)) for parts, moments in found.items()}
    strongest = max(strength, key=lambda parts: strength[parts])
    if strength[strongest] < 0.07:
        return "circle"
    if strongest == 4:
        return "cross" if strength[4] > 0.22 else "square"
    return {3: "triangle", 5: "star"}[strongest]


def test_direction_and_speed_of_every_caption_are_those_of_the_pixels(shown: Shown):
    at = sample_frames(NUM_FRAMES, count=8, sampling="uniform")
    for row, frames in shown:
        *_, speed = words = row["caption"].split()[:5]
        way = np.array(WAYS[row["caption"].split()[-1]])
        steps = np.diff(centroids(coloured(frames[at])), axis=0)
        assert (steps @ way > 0).all(), (words, steps)
        assert np.abs(steps @ way[::-1]).max() < 0.01, (words, steps)
        travel = (steps @ way).sum() * (NUM_FRAMES - 1) / (at[-1] - at[0])
        assert ("quickly" if travel > QUICK else "slowly") == speed, (words, travel)
        assert not QUICK - 0.08 < travel < QUICK + 0.08, "the speeds are told apart with ease"


def test_colour_and_shape_of_every_caption_are_those_of_the_pixels(shown: Shown):
    for row, frames in shown:
        _, colour, shape, *_ = row["caption"].split()
        inside = coloured(frames)
        hue = hue_of(frames, inside)
        off = {name: abs((hue - at + 180) % 360 - 180) for name, at in HUES.items()}
        assert min(off, key=lambda name: off[name]) == colour, (row, hue)
        assert shape_of(inside) == shape, row


def test_a_shape_is_whole_in_every_frame(shown: Shown):
    for row, frames in shown:
        inside = coloured(frames)
        assert not inside[:, [0, -1]].any(), row
        assert not inside[:, :, [0, -1]].any(), row
        areas = inside.sum((1, 2)) / SIDE**2
        assert areas.min() > 0.05, row
        assert areas.max() < areas.min() * 1.15, row


def test_clips_of_one_caption_differ_in_ground_place_and_size(shown: Shown):
    by_caption: dict[str, list[np.ndarray]] = defaultdict(list)
    for row, frames in shown:
        by_caption[row["caption"]].append(frames.astype(int))
    for first, second in by_caption.values():
        both_ground = ~(coloured(first) | coloured(second))
        apart = np.abs(first - second).mean(1)[both_ground].mean()
        places = [centroids(coloured(frames)) for frames in (first, second)]
        areas = [coloured(frames).mean() for frames in (first, second)]
        assert apart > 5
        assert np.abs(places[0] - places[1]).mean() > 0.002
        assert areas[0] != areas[1]


def test_every_text_is_repeated_and_belongs_to_one_combination(shapes: Path):
    rows = rows_of(shapes)
    assert set(Counter(row["caption"] for row in rows).values()) == {CLIPS_EACH}
    assert len({(row["caption"], row["combination"]) for row in rows}) == COMBINATIONS
    assert len({row["combination"] for row in rows}) == COMBINATIONS
    assert len({file_digest(shapes / row["video_path"]) for row in rows}) == len(rows)


def test_no_combination_of_the_test_is_trained_on_and_all_its_words_are(shapes: Path):
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for row in rows_of(shapes):
        sides[row["split"]].add(row["caption"])
    assert len(sides["test"]) == COMBINATIONS / 5
    assert not sides["train"] & sides["test"]
    words = {
        side: {word for text in texts for word in text.split()} for side, texts in sides.items()
    }
    assert words["test"] <= words["train"]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [20, 57, len(EVERY)])
def test_every_seed_holds_a_fifth_out_and_leaves_every_word(count: int, seed: int):
    held_out = split_combinations(count, seed=seed)
    assert len(held_out) == count
    assert sum(held_out.values()) == round(count / 5)
    for quality in ("colour", "shape", "direction", "speed"):
        words = {side: set() for side in (True, False)}
        for combination, out in held_out.items():
            words[out].add(getattr(combination, quality))
        assert words[True] <= words[False]


def test_too_few_or_too_many_combinations_are_refused(tmp_path: Path):
    for combinations in (0, 2, 4, len(EVERY) + 1):
        with pytest.raises(ValueError, match=f"combinations={combinations}: "):
            make_shapes_set(tmp_path / "new", combinations=combinations)
    with pytest.raises(ValueError, match="clips_each=0: at least 1"):
        make_shapes_set(tmp_path / "new", clips_each=0)
    assert not (tmp_path / "new").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_other_clips(tmp_path: Path):
    first = make_shapes_set(tmp_path / "a", combinations=20, clips_each=1).parent
    again = make_shapes_set(tmp_path / "b" / "deeper", combinations=20, clips_each=1).parent
    assert digests(first) == digests(again)
    rows = rows_of(first)
    make_shapes_set(first, combinations=20, clips_each=1, seed=1)
    assert rows_of(first) != rows
    clips = [file_digest(first / row["video_path"]) for row in rows + rows_of(first)]
    assert len(set(clips)) == 40


def test_a_second_call_writes_nothing_and_a_killed_one_goes_on(tmp_path: Path):
    told: list[tuple[int, int]] = []

    def make() -> None:
        told.clear()
        make_shapes_set(
            tmp_path,
            combinations=20,
            clips_each=1,
            report_progress=lambda *now: told.append(now),
        )

    make()
    assert told == [(done, 20) for done in range(1, 21)]
    whole, stood = digests(tmp_path), stamps(tmp_path)
    make()
    assert told == []
    assert stamps(tmp_path) == stood
    missing = tmp_path / rows_of(tmp_path)[3]["video_path"]
    missing.unlink()
    make()
    assert digests(tmp_path) == whole
    now = stamps(tmp_path / "videos")
    assert {name for name, stamp in now.items() if stood[name] != stamp} == {missing.name}


def test_the_videos_are_small_h264_files_of_sixteen_frames(shapes: Path):
    for row in rows_of(shapes)[:10]:
        facts = probe(shapes / row["video_path"])
        assert (facts.width, facts.height, facts.frame_count, facts.fps) == (SIDE, SIDE, 16, 8.0)
        assert facts.codec == "h264"
        assert facts.file_bytes < 64 * 2**10

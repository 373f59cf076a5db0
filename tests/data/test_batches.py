"""The order of an epoch is a function of seed and epoch, and any position of it can be gone on."""

import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelfit.data.batches import ClipSource, balanced_order, batches, epoch_order, spread_frames
from reelfit.data.shards import ShardReader, write_shard
from reelfit.errors import RunError

SEEDS = st.integers(0, 2**40)
EPOCHS = st.integers(0, 1000)
COUNT = 23


@dataclass
class Stored:
    folder: Path
    manifest: pl.DataFrame
    pixels: np.ndarray


@pytest.fixture(scope="module")
def stored(tmp_path_factory, make_clips) -> Stored:
    """Clips in three shards."""
    folder = tmp_path_factory.mktemp("shards")
    clips = make_clips(COUNT)
    rows = [
        row
        for begin in range(0, COUNT, 10)
        for row in write_shard(folder / f"{begin}.tar", clips[begin : begin + 10])
    ]
    return Stored(folder, pl.DataFrame(rows), np.stack([clip.pixels for clip in clips]))


@given(num_clips=st.integers(1, 300), seed=SEEDS, epoch=EPOCHS)
def test_an_epoch_has_every_clip_once(num_clips, seed, epoch):
    order = epoch_order(num_clips, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(num_clips))


def test_the_order_is_a_function_of_seed_and_epoch_alone_on_every_machine():
    assert epoch_order(6, seed=7, epoch=2).tolist() == [3, 1, 4, 2, 0, 5]
    assert balanced_order(np.array([0, 1, 1, 1, 1]), seed=7, epoch=2).tolist() == [3, 2, 0, 1, 0]


@given(seed=SEEDS, epoch=EPOCHS)
def test_another_epoch_and_another_seed_have_another_order(seed, epoch):
    targets = np.arange(40) % 2
    for order in (
        lambda **at: epoch_order(40, **at).tolist(),
        lambda **at: balanced_order(targets, **at).tolist(),
    ):
        first = order(seed=seed, epoch=epoch)
        assert first == order(seed=seed, epoch=epoch)
        assert first != order(seed=seed, epoch=epoch + 1)
        assert first != order(seed=seed + 1, epoch=epoch)


@given(targets=st.lists(st.integers(0, 4), min_size=1, max_size=80), seed=SEEDS, epoch=EPOCHS)
def test_a_balanced_epoch_has_classes_equally_often_with_as_few_repeats_as_can_be(
    targets, seed, epoch
):
    order = balanced_order(np.array(targets), seed=seed, epoch=epoch)
    assert len(order) == len(targets)
    times = Counter(order.tolist())
    by_class = {label: Counter(targets[row] for row in order)[label] for label in set(targets)}
    assert max(by_class.values()) - min(by_class.values()) <= 1
    for label in set(targets):
        drawn = [times[row] for row, target in enumerate(targets) if target == label]
        assert max(drawn) - min(drawn) <= 1


@given(
    labels=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=80),
    seed=SEEDS,
    epoch=EPOCHS,
)
def test_an_epoch_balanced_by_groups_has_each_group_of_a_class_equally_often(labels, seed, epoch):
    targets = np.array([target for target, _ in labels])
    groups = np.array([10 * target + group for target, group in labels])
    order = balanced_order(targets, seed=seed, epoch=epoch, groups=groups)
    assert len(order) == len(labels)
    drawn = Counter(groups[order].tolist())
    for target in set(targets.tolist()):
        shares = [drawn[group] for group in set(groups[targets == target].tolist())]
        assert max(shares) - min(shares) <= 1
    assert np.array_equal(order, balanced_order(targets, seed=seed, epoch=epoch, groups=groups))


def read_batches(stored, order, *, frames=None, change=None, **settings):
    """All batches, by a reader of their own: as after a crash, nothing is left but ``start``."""
    with ShardReader(stored.folder) as reader:
        source = ClipSource(reader, stored.manifest, frames, change)
        return list(batches(source, order, **settings))


def test_batches_hold_the_clips_of_their_rows_and_the_last_is_smaller(stored):
    order = epoch_order(COUNT, seed=0, epoch=1)
    whole = read_batches(stored, order, size=5)
    assert [len(batch.rows) for batch, _ in whole] == [5, 5, 5, 5, 3]
    assert [position for _, position in whole] == [5, 10, 15, 20, COUNT]
    assert np.array_equal(np.concatenate([batch.rows for batch, _ in whole]), order)
    for batch, _ in whole:
        assert np.array_equal(batch.clips.numpy(), stored.pixels[batch.rows])


def test_fewer_frames_are_the_middles_of_even_parts(stored):
    ((batch, _),) = read_batches(stored, np.arange(COUNT), size=COUNT, frames=2)
    count = stored.pixels.shape[1]
    wanted = stored.pixels[:, [count // 4, 3 * count // 4]]
    assert np.array_equal(batch.clips.numpy(), wanted)
    assert spread_frames(8, 4).tolist() == [1, 3, 5, 7]
    assert spread_frames(5, 2).tolist() == [1, 3]
    assert spread_frames(3, 3).tolist() == [0, 1, 2]


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(1, COUNT + 2),
    seed=SEEDS,
    balanced=st.booleans(),
    ahead_bytes=st.sampled_from([0, 3000, 10**6]),
)
def test_going_on_from_any_position_gives_the_same_remaining_batches(
    stored, size, seed, balanced, ahead_bytes
):
    order = epoch_order(COUNT, seed=seed, epoch=1)
    if balanced:
        order = balanced_order(np.arange(COUNT) % 3 // 2, seed=seed, epoch=1)
    whole = read_batches(stored, order, size=size, ahead_bytes=ahead_bytes)
    for done, (_, position) in enumerate(whole, 1):
        rest = read_batches(stored, order, size=size, start=position)
        assert [end for _, end in rest] == [end for _, end in whole[done:]]
        for (found, _), (wanted, _) in zip(rest, whole[done:], strict=True):
            assert np.array_equal(found.rows, wanted.rows)
            assert found.clips.equal(wanted.clips)
    assert whole[-1][1] == COUNT


class Counting:
    """Counts the clips that are read, and how many bytes wait at most."""

    def __init__(self, *, fails: int = 0) -> None:
        self.rows: list[int] = []
        self.fails = fails

    def __call__(self, row: int, pixels: np.ndarray) -> np.ndarray:
        self.rows.append(row)
        if self.fails and threading.current_thread() is not threading.main_thread():
            self.fails -= 1
            raise MemoryError
        return pixels


@pytest.mark.parametrize(("ahead", "most"), [(0, 0), (1.5, 1), (3, 3), (100, COUNT)])
def test_no_more_is_read_ahead_than_the_bytes_allow(stored, ahead, most):
    counting, size = Counting(), 4
    batch_bytes = size * stored.pixels[0].nbytes
    with ShardReader(stored.folder) as reader:
        source = ClipSource(reader, stored.manifest, change=counting)
        for number, (_, position) in enumerate(
            batches(source, np.arange(COUNT), size=size, ahead_bytes=int(ahead * batch_bytes)), 1
        ):
            deadline = time.monotonic() + 20
            wanted = min(position + most * size, COUNT)
            while len(counting.rows) < wanted and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(0.02)
            assert len(counting.rows) == wanted, number


def test_where_memory_is_too_short_to_read_ahead_clips_are_read_one_batch_at_a_time(stored):
    counting = Counting(fails=2)
    order = epoch_order(COUNT, seed=0, epoch=0)
    found = read_batches(stored, order, size=4, ahead_bytes=10**6, change=counting)
    assert np.array_equal(np.concatenate([batch.rows for batch, _ in found]), order)
    for batch, _ in found:
        assert np.array_equal(batch.clips.numpy(), stored.pixels[batch.rows])


def test_a_loop_that_ends_early_leaves_no_thread_behind(stored):
    before = threading.active_count()
    with ShardReader(stored.folder) as reader:
        source = ClipSource(reader, stored.manifest)
        for _ in batches(source, np.arange(COUNT), size=2, ahead_bytes=10**6):
            break
    assert threading.active_count() == before


def test_damage_found_ahead_is_told(stored, tmp_path):
    folder = Path(shutil.copytree(stored.folder, tmp_path / "damaged"))
    row = stored.manifest.row(COUNT - 1, named=True)
    content = bytearray((folder / row["shard"]).read_bytes())
    content[row["offset"] + row["bytes"] - 1] ^= 1
    (folder / row["shard"]).write_bytes(content)
    with ShardReader(folder) as reader, pytest.raises(RunError, match="damaged at byte"):
        list(
            batches(
                ClipSource(reader, stored.manifest), np.arange(COUNT), size=4, ahead_bytes=10**6
            )
        )

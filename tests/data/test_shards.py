"""A clip comes back with the same bits or with an error that names its shard."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reelfit.data.shards import ShardReader, write_shard
from reelfit.errors import RunError

HEADER_BYTES = 128  # of a .npy member


def read(shard: Path, row: dict) -> np.ndarray:
    with ShardReader(shard.parent) as reader:
        return reader.read(shard.name, offset=row["offset"], num_bytes=row["bytes"])


def test_clips_come_back_with_the_same_bits_in_any_order(tmp_path, make_clips):
    written = {name: make_clips(count) for name, count in (("a.tar", 5), ("b.tar", 3))}
    rows = [row for name, clips in written.items() for row in write_shard(tmp_path / name, clips)]
    clips = [clip for clips in written.values() for clip in clips]
    with ShardReader(tmp_path) as reader:
        for place in np.random.default_rng(0).permutation(len(rows)):
            row, clip = rows[place], clips[place]
            pixels = reader.read(row["shard"], offset=row["offset"], num_bytes=row["bytes"])
            assert np.array_equal(pixels, clip.pixels)
            assert pixels.flags.writeable
            assert (row["video_id"], row["copy"]) == (clip.video_id, clip.copy)
            assert (row["frames"], json.loads(row["augmentation"])) == (
                clip.frames,
                clip.augmentation,
            )


def test_the_same_clips_give_the_same_bytes(tmp_path, make_clips):
    write_shard(tmp_path / "a.tar", make_clips(4))
    write_shard(tmp_path / "elsewhere" / "b.tar", iter(make_clips(4)))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "elsewhere" / "b.tar").read_bytes()


def test_a_shard_is_a_plain_tar_of_pairs_whose_offsets_the_manifest_has(tmp_path, make_clips):
    clips = make_clips(4)
    rows = write_shard(tmp_path / "a.tar", clips)
    with tarfile.open(tmp_path / "a.tar", "r:") as tar:
        members = tar.getmembers()
        facts = [json.load(tar.extractfile(member)) for member in members[1::2]]
    keys = [f"{clip.video_id}.{clip.copy}" for clip in clips]
    assert [m.name for m in members] == [f"{key}.{end}" for key in keys for end in ("npy", "json")]
    assert [(m.offset_data, m.size) for m in members[::2]] == [
        (row["offset"], row["bytes"]) for row in rows
    ]
    assert facts == [{"frames": c.frames, "augmentation": c.augmentation} for c in clips]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    content = (tmp_path / "a.tar").read_bytes()
    assert {content[m.offset + 257 :][:8] for m in members} == {b"ustar\x0000"}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves it open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_our_shards(tmp_path, make_clips):
    webdataset = pytest.importorskip("webdataset")
    clips = make_clips(4)
    write_shard(tmp_path / "a.tar", clips)
    found = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in found] == [clips[0].video_id, clips[2].video_id]
    for clip in clips:
        sample = next(sample for sample in found if sample["__key__"] == clip.video_id)
        assert np.array_equal(sample[f"{clip.copy}.npy"], clip.pixels)
        assert sample[f"{clip.copy}.json"]["frames"] == clip.frames


@pytest.mark.parametrize("kept", [0, 10, HEADER_BYTES, HEADER_BYTES + 50])
def test_a_shard_cut_short_is_named_with_what_to_do(tmp_path, make_clips, kept):
    shard = tmp_path / "a.tar"
    *_, row = write_shard(shard, make_clips(3))
    os.truncate(shard, row["offset"] + kept)
    with pytest.raises(RunError, match=r"a\.tar: damaged at byte .*delete this shard .*--fresh"):
        read(shard, row)


@example(bit=70)  # a bracket that never closes
@example(bit=8 * 64)  # fewer frames
@given(bit=st.integers(0, 8 * HEADER_BYTES - 1))
def test_a_changed_bit_of_a_header_never_gives_a_clip_of_another_shape(
    tmp_path_factory, make_clips, bit
):
    shard = tmp_path_factory.getbasetemp() / "changed.tar"
    (clip,) = make_clips(1)
    (row,) = write_shard(shard, [clip])
    content = bytearray(shard.read_bytes())
    content[row["offset"] + bit // 8] ^= 1 << bit % 8
    shard.write_bytes(content)
    try:
        pixels = read(shard, row)
    except RunError as error:
        assert "changed.tar: damaged" in str(error)  # noqa: PT017  some bits are only padding
    else:
        assert np.array_equal(pixels, clip.pixels)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


@pytest.mark.parametrize("kind", ["pickle", "float", "picture", "too large", "no array"])
def test_a_member_that_is_no_clip_is_named_and_never_run(tmp_path, make_clips, kind):
    shard, sprung = tmp_path / "a.tar", tmp_path / "sprung"
    (row,) = write_shard(shard, make_clips(1))
    stored = io.BytesIO()
    if kind == "no array":
        stored.write(b"<html>")
    elif kind == "too large":  # to ask memory for it would look like a shortage
        facts = {"descr": "|u1", "fortran_order": False, "shape": (2**20, 3, 2**20, 2**20)}
        np.lib.format.write_array_header_1_0(stored, facts)
    else:
        array = {
            "pickle": np.array([Trap(sprung)], dtype=object),
            "float": np.zeros((2, 3, 4, 4)),
            "picture": np.zeros((3, 8, 8), np.uint8),
        }[kind]
        np.save(stored, array, allow_pickle=True)
    content = bytearray(shard.read_bytes())
    content[row["offset"] :] = stored.getvalue()
    shard.write_bytes(content)
    with pytest.raises(RunError, match=r"a\.tar: damaged at byte 512"):
        read(shard, row | {"bytes": len(stored.getvalue())})
    assert not sprung.exists()


def test_a_missing_shard_is_named_with_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"gone\.tar: No such file or directory: run with --fresh"):
        read(tmp_path / "gone.tar", {"offset": 512, "bytes": 512})


def test_a_reader_leaves_no_file_open(tmp_path, make_clips):
    rows = [row for i in range(4) for row in write_shard(tmp_path / f"{i}.tar", make_clips(2))]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ShardReader(tmp_path) as reader:
        for row in rows:
            reader.read(row["shard"], offset=row["offset"], num_bytes=row["bytes"])
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 4  # one per shard
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_writer_that_fails_midway_leaves_what_stood_before(tmp_path, make_clips):
    def torn():
        yield from make_clips(2)
        raise KeyError

    with pytest.raises(KeyError):
        write_shard(tmp_path / "a.tar", torn())
    assert list(tmp_path.iterdir()) == []
    (row,) = write_shard(tmp_path / "a.tar", make_clips(1))
    with pytest.raises(KeyError):
        write_shard(tmp_path / "a.tar", torn())
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tar"]
    assert np.array_equal(read(tmp_path / "a.tar", row), make_clips(1)[0].pixels)


ENDLESS = """
import itertools, sys
from pathlib import Path
import numpy as np
from reelfit.data.shards import Clip, write_shard

def clips():
    for copy in itertools.count():
        if copy == 20:
            print("midway", flush=True)
        yield Clip("a" * 32, copy, np.full((2, 3, 32, 32), copy % 256, np.uint8), [0, 1], {})

write_shard(Path(sys.argv[1]), clips())
"""


def test_a_writer_killed_midway_leaves_no_shard(tmp_path, make_clips):
    shard = tmp_path / "a.tar"
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(shard)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"midway\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert list(tmp_path.glob("*.tar")) == []
    (row,) = write_shard(shard, make_clips(1))
    assert np.array_equal(read(shard, row), make_clips(1)[0].pixels)


@pytest.mark.parametrize("size", [8, 128])  # found full when the tar is closed, and while writing
def test_a_full_disk_is_an_error_that_says_what_to_do_and_leaves_nothing(
    tmp_path, make_clips, size
):
    shard = tmp_path / "a.tar"
    shard.with_name(f".a.tar.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"no room left on the disk while writing .*a\.tar"):
        write_shard(shard, make_clips(2, size=size))
    assert list(tmp_path.iterdir()) == []

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
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reelfit.data.shards import Clip, ShardReader, ShardWriter, index_shard, write_shard
from reelfit.errors import RunError

BLOCK = 512
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


def test_we_read_what_webdataset_wrote(tmp_path, make_clips):
    webdataset = pytest.importorskip("webdataset")
    clips = make_clips(3)
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as written:
        for clip in clips:
            key = f"{clip.video_id}_{clip.copy}"
            written.write({"__key__": key, "npy": clip.pixels, "json": {"frames": clip.frames}})
    rows = index_shard(tmp_path / "a.tar")
    assert [row["key"] for row in rows] == [f"{c.video_id}_{c.copy}" for c in clips]
    for row, clip in zip(rows, clips, strict=True):
        assert np.array_equal(read(tmp_path / "a.tar", row), clip.pixels)


def test_the_index_of_our_own_shard_is_that_of_its_manifest(tmp_path, make_clips):
    rows = write_shard(tmp_path / "a.tar", make_clips(3))
    found = index_shard(tmp_path / "a.tar")
    assert [(row["offset"], row["bytes"]) for row in found] == [
        (row["offset"], row["bytes"]) for row in rows
    ]
    assert [row["key"] for row in found] == [f"{row['video_id']}.{row['copy']}" for row in rows]


def test_a_tar_with_links_and_what_is_no_tar_are_refused(tmp_path):
    with tarfile.open(tmp_path / "linked.tar", "w") as tar:
        link = tarfile.TarInfo("passwords.npy")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(RunError, match=r"linked\.tar: passwords\.npy is no plain file"):
        index_shard(tmp_path / "linked.tar")
    (tmp_path / "text.tar").write_text("no tar" * 200)
    with pytest.raises(RunError, match=r"text\.tar: no plain tar"):
        index_shard(tmp_path / "text.tar")


def smooth_clip(*, size: int = 64) -> Clip:
    """Not noise, which no JPEG keeps."""
    across, down = np.meshgrid(np.linspace(0, 200, size), np.linspace(0, 55, size))
    frame = np.stack([across + down, across, 255 - across - down]).astype(np.uint8)
    return Clip("c" * 32, 0, np.stack([np.roll(frame, 3 * k, axis=2) for k in range(4)]), [0], {})


def test_a_clip_in_jpeg_is_smaller_and_nearly_the_same(tmp_path):
    clip = smooth_clip()
    sizes = []
    for quality, most in ((95, 3.0), (60, 8.0)):
        (row,) = write_shard(tmp_path / "a.tar", [clip], store="jpeg", quality=quality)
        found = read(tmp_path / "a.tar", row).astype(int)
        assert found.shape == clip.pixels.shape
        assert np.abs(found - clip.pixels).mean() < most
        sizes.append(row["bytes"])
    assert sizes[1] < sizes[0] < clip.pixels.nbytes / 4


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_our_shards_of_jpegs(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    (row,) = write_shard(tmp_path / "a.tar", [smooth_clip()], store="jpeg")
    (sample,) = webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode("rgb8")
    ours = read(tmp_path / "a.tar", row)
    for number, frame in enumerate(ours):
        assert np.array_equal(sample[f"0.{number:04d}.jpg"], frame.transpose(1, 2, 0))


@pytest.mark.parametrize("store", ["uint8", "jpeg"])
def test_a_changed_byte_of_a_picture_is_found_by_its_checksum(tmp_path, store):
    shard = tmp_path / "a.tar"
    (row,) = write_shard(shard, [smooth_clip()], store=store)
    content = bytearray(shard.read_bytes())
    content[row["offset"] + row["bytes"] - 200] ^= 1
    shard.write_bytes(content)
    with (
        ShardReader(tmp_path) as reader,
        pytest.raises(RunError, match=r"a\.tar: damaged at byte .* not those that were written"),
    ):
        reader.read("a.tar", offset=row["offset"], num_bytes=row["bytes"], crc32=row["crc32"])


@pytest.mark.parametrize("kept", [0, 100, BLOCK, BLOCK + 200])
def test_a_row_of_pictures_cut_short_is_an_error(tmp_path, kept):
    shard = tmp_path / "a.tar"
    (row,) = write_shard(shard, [smooth_clip()], store="jpeg")
    os.truncate(shard, row["offset"] + kept)
    with pytest.raises(RunError, match=r"a\.tar: damaged at byte 0"):
        read(shard, row)


@pytest.mark.parametrize("kept", [0, 10, HEADER_BYTES, HEADER_BYTES + 50])
def test_a_shard_cut_short_is_named_with_what_to_do(tmp_path, make_clips, kept):
    shard = tmp_path / "a.tar"
    *_, row = write_shard(shard, make_clips(3))
    os.truncate(shard, row["offset"] + kept)
    with pytest.raises(RunError, match=r"a\.tar: damaged at byte .*delete this shard .*--fresh"):
        read(shard, row)


@example(bit=70)  # a bracket that never closes
@example(bit=8 * 64)  # fewer frames
@settings(deadline=None)
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


ONE_BY_ONE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from reelfit.data.shards import Clip, ShardWriter

folder, die_at, dies = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def clips(number):
    for copy in range(3):
        if (number, copy) == (die_at, 1) and dies == "between clips":
            os.kill(os.getpid(), signal.SIGKILL)
        pixels = np.full((2, 3, 32, 32), 10 * number + copy, np.uint8)
        yield Clip(f"{number:032x}", copy, pixels, [0, 1], {})

writer = ShardWriter(folder / "a.tar", making=folder / "making" / "a.tar")
done = {row["video_id"] for row in writer.rows}
print(len(done), flush=True)
for number in range(8):
    if f"{number:032x}" in done:
        continue
    if number == 2:
        writer.add([], facts={"video_id": f"{number:032x}", "reason": "damaged"})
    else:
        writer.add(clips(number), facts={"fps": 25.0})
    if number == die_at and dies == "torn":
        with open(folder / "making" / "a.tar", "ab") as opened:
            opened.write(b"half a clip")
        os.kill(os.getpid(), signal.SIGKILL)
    if number == die_at and dies == "lost":
        os.truncate(folder / "making" / "a.tar", 40000)  # as after a power cut
        os.kill(os.getpid(), signal.SIGKILL)
writer.finish()
"""


def write_one_by_one(folder: Path, die_at: int, dies: str) -> tuple[int, int]:
    """How many videos stood when it began, and how it ended."""
    command = [sys.executable, "-c", ONE_BY_ONE, str(folder), str(die_at), dies]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return int(done.stdout), done.returncode


@pytest.mark.parametrize(("dies", "kept"), [("between clips", 5), ("torn", 6), ("lost", 1)])
def test_a_writer_that_was_killed_goes_on_at_the_next_video_with_the_same_bytes(
    tmp_path, dies, kept
):
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    assert write_one_by_one(undisturbed, -1, "") == (0, 0)
    assert write_one_by_one(disturbed, 5, dies) == (0, -signal.SIGKILL)
    assert list(disturbed.glob("*.tar")) == []  # whole or absent
    assert write_one_by_one(disturbed, -1, "") == (kept, 0)
    assert (disturbed / "a.tar").read_bytes() == (undisturbed / "a.tar").read_bytes()
    assert list((disturbed / "making").iterdir()) == []


def test_what_cannot_be_added_leaves_the_shard_as_it_was(tmp_path, make_clips):
    def torn():
        yield from make_clips(2)
        raise KeyError

    first, second = make_clips(2)
    writer = ShardWriter(tmp_path / "a.tar", making=tmp_path / "making.tar")
    writer.add([first], facts={})
    with pytest.raises(KeyError):
        writer.add(torn(), facts={})
    writer.add([second], facts={})
    rows = writer.finish()
    write_shard(tmp_path / "b.tar", [first, second])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert np.array_equal(read(tmp_path / "a.tar", rows[1]), second.pixels)


@pytest.mark.parametrize("size", [8, 128])  # found full when the tar is closed, and while writing
def test_a_full_disk_is_an_error_that_says_what_to_do_and_leaves_nothing(
    tmp_path, make_clips, size
):
    shard = tmp_path / "a.tar"
    shard.with_name(f".a.tar.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"no room left on the disk while writing .*a\.tar"):
        write_shard(shard, make_clips(2, size=size))
    assert list(tmp_path.iterdir()) == []

"""Arrays of frames are videos: exact, read by the frame, and nothing in them is ever run."""

import os
import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reelfit.errors import VideoError
from reelfit.video.arrays import content_digest
from reelfit.video.decode import decode
from reelfit.video.frames import indexed_video, whole_frames
from reelfit.video.probe import probe

FRAMES = np.random.default_rng(0).integers(0, 256, (7, 20, 31, 3), np.uint8)
"""Of odd sides: a conversion that rounds would show."""
SHOWN = torch.from_numpy(FRAMES.transpose(0, 3, 1, 2).copy())


def saved(folder: Path, values: np.ndarray, name: str = "a.npy") -> Path:
    np.save(folder / name, values)
    return folder / name


def in_hdf5(folder: Path, values: np.ndarray, name: str = "clips/first", **how) -> Path:
    with h5py.File(folder / "all.h5", "a") as opened:
        opened.create_dataset(name, data=values, **how)
    return folder / f"all.h5::{name}"


FORMS = {
    "time height width 3": FRAMES,
    "time 3 height width": np.ascontiguousarray(FRAMES.transpose(0, 3, 1, 2)),
    "floats": (FRAMES / 255).astype(np.float32),
    "half floats": (FRAMES / 255).astype(np.float16),
    "doubles of another machine": (FRAMES / 255).astype(">f8"),
    "column by column": np.asfortranarray(FRAMES),
}


@pytest.mark.parametrize("put", [saved, in_hdf5])
@pytest.mark.parametrize("values", FORMS.values(), ids=FORMS)
def test_the_frames_asked_for_come_exactly_whatever_the_form(tmp_path, put, values):
    path = put(tmp_path, values)
    assert torch.equal(decode(path, at=[5, 0, 5, 6]), SHOWN[[5, 0, 5, 6]])
    facts = probe(path)
    assert (facts.width, facts.height, facts.frame_count) == (31, 20, 7)
    assert (facts.fps, facts.duration_seconds, facts.bit_rate) == (None, None, None)
    assert facts.colour_matrix == "rgb"


def test_grey_arrays_have_the_same_level_in_all_channels(tmp_path):
    path = saved(tmp_path, FRAMES[..., 1])
    grey = SHOWN[:, 1:2].expand(-1, 3, -1, -1)
    assert torch.equal(decode(path, at=range(7)), grey)
    assert probe(path).colour_matrix == "grey"


def test_arrays_are_fitted_as_videos_are(tmp_path):
    path = saved(tmp_path, np.full((2, 10, 40, 3), 200, np.uint8))
    shown = decode(path, at=[1], size=20)
    assert shown.shape == (1, 3, 20, 20)
    assert int(shown[0, 0, 10, 10]) == 200
    assert int(shown[0, 0, 0, 0]) == 0  # the letterbox


def test_an_array_has_no_times(tmp_path):
    with pytest.raises(VideoError, match="no frame rate"):
        decode(saved(tmp_path, FRAMES), at_seconds=[0.5])


@pytest.mark.parametrize("put", [saved, in_hdf5])
def test_only_the_wanted_frames_are_read(tmp_path, put):
    values = np.zeros((400, 64, 64, 3), np.uint8)
    values[300] = 9
    path = put(tmp_path, values)
    values_bytes = values.nbytes
    del values
    tracemalloc.start()
    shown = decode(path, at=[300])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert int(shown.min()) == 9
    assert peak < values_bytes / 4


def test_a_compressed_dataset_is_read_by_chunks(tmp_path):
    path = in_hdf5(tmp_path, FRAMES, chunks=(1, 20, 31, 3), compression="gzip", shuffle=True)
    assert torch.equal(decode(path, at=[3]), SHOWN[[3]])
    assert probe(path).file_bytes > 0


def test_identity_is_the_content_wherever_it_stands(tmp_path):
    here = content_digest(saved(tmp_path, FRAMES))
    assert content_digest(saved(tmp_path, FRAMES, "b.npy")) == here
    assert content_digest(in_hdf5(tmp_path, FRAMES)) == here
    assert content_digest(in_hdf5(tmp_path, FRAMES, "b", chunks=(2, 5, 5, 1))) == here
    others = [
        FRAMES[:6],
        FRAMES[..., ::-1],
        FRAMES.transpose(0, 2, 1, 3),
        FRAMES.astype("f4") / 255,
    ]
    for number, other in enumerate(others):
        assert content_digest(saved(tmp_path, other, f"{number}.npy")) != here


class Bomb:
    """What ruins a file as soon as it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_never_loaded_whatever_the_file_says_it_is(tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "a.npy"
    np.save(path, np.array([Bomb(mark)] * 2, dtype=object), allow_pickle=True)
    with path.open("rb") as opened:
        assert opened.read(6) == b"\x93NUMPY"
    plain = tmp_path / "b.npy"
    plain.write_bytes(pickle.dumps(Bomb(mark)))
    for hostile in (path, plain):
        for look in (probe, lambda each: decode(each, at=[0]), content_digest):
            with pytest.raises(VideoError, match="not an array of frames"):
                look(hostile)
    assert not mark.exists()
    np.load(path, allow_pickle=True)
    assert mark.exists()  # so it would have shown


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (FRAMES.astype(np.int64), "not an array of frames"),
        (FRAMES.astype(bool), "not an array of frames"),
        (FRAMES[0], "not an array of frames"),  # one picture
        (FRAMES[0, :, :, 0], "not an array of frames"),
        (FRAMES[..., :2], "not an array of frames"),
        (np.zeros((4, 3, 8, 3), np.uint8), "not an array of frames"),  # which are the channels?
        (np.zeros((4, 0, 8), np.uint8), "not an array of frames"),
        (np.zeros((2, 5, 5, 3), [("a", "u1")]), "not an array of frames"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no frames"),
        (np.zeros((1, 1, 20_000), np.uint8), "too large"),
        (FRAMES.astype(np.float32), "values out of range"),
        (np.full((2, 8, 8), np.nan), "values out of range"),
        (np.full((2, 8, 8), -0.1), "values out of range"),
    ],
)
@pytest.mark.parametrize("put", [saved, in_hdf5])
def test_what_is_no_video_has_its_reason(tmp_path, put, values, reason):
    with pytest.raises(VideoError) as told:
        probe(put(tmp_path, values))
    assert told.value.reason == reason


def test_a_bad_frame_is_told_when_it_is_wanted_and_no_frame_is_made_up(tmp_path):
    values = (FRAMES / 255).astype(np.float32)
    values[4, 2, 2, 1] = np.inf
    path = saved(tmp_path, values)
    assert torch.equal(decode(path, at=[3]), SHOWN[[3]])
    with pytest.raises(VideoError, match="values out of range: frame 4"):
        decode(path, at=[4])
    with pytest.raises(VideoError, match="no such frame"):
        decode(path, at=[7])
    with indexed_video(path) as video:
        assert whole_frames(video) == []


def test_a_file_that_was_cut_or_is_another_one_has_its_reason(tmp_path):
    path = saved(tmp_path, FRAMES)
    path.write_bytes(path.read_bytes()[:-1])
    reasons = []
    for name, content in (("b.npy", b"text"), ("c.npy", b""), ("d.h5", b"text"), ("e.hdf5", b"")):
        (tmp_path / name).write_bytes(content)
    names = ["a.npy", "b.npy", "c.npy", "d.h5::x", "e.hdf5::x", "f.h5::x", "g.npy"]
    for name in names:
        with pytest.raises(VideoError) as told:
            probe(tmp_path / name)
        reasons.append(told.value.reason)
    assert reasons[0] == "truncated"
    assert reasons[1:3] == ["not an array of frames", "empty file"]
    assert reasons[3:] == ["damaged", "empty file", "no such file", "no such file"]


def test_no_link_of_an_hdf5_file_leads_out_of_it(tmp_path):
    secret = in_hdf5(tmp_path, FRAMES, "secret")
    (tmp_path / "all.h5").rename(tmp_path / "other.h5")
    (tmp_path / "raw").write_bytes(FRAMES.tobytes())
    with h5py.File(tmp_path / "all.h5", "w") as opened:
        opened["own"] = FRAMES
        opened["soft"] = h5py.SoftLink("/own")
        opened["out"] = h5py.ExternalLink("other.h5", "/secret")
        opened["through"] = h5py.SoftLink("/group/out")
        opened["group/out"] = h5py.ExternalLink("other.h5", "/")
        opened["round"] = h5py.SoftLink("/round")
        opened.create_dataset("raw", FRAMES.shape, "u1", external=str(tmp_path / "raw"))
        layout = h5py.VirtualLayout(FRAMES.shape, "u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", FRAMES.shape)
        opened.create_virtual_dataset("virtual", layout)
    file = f"{tmp_path}/all.h5"
    assert torch.equal(decode(f"{file}::soft", at=[2]), SHOWN[[2]])
    for name in ("out", "through", "through/secret", "group/out/secret", "raw", "virtual"):
        with pytest.raises(VideoError) as told:
            probe(f"{file}::{name}")
        assert told.value.reason == "a link out of the file", name
    for name in ("round", "none", "own/deeper", "group", "group/../own", ""):
        with pytest.raises(VideoError) as told:
            probe(f"{file}::{name}")
        assert told.value.reason == "no such dataset", name
    assert secret.name == "all.h5::secret"


@settings(max_examples=400, deadline=None)
@given(where=st.integers(0, 127), byte=st.integers(0, 255), cut=st.sampled_from([0, 0, 1, 300]))
def test_a_damaged_header_gives_frames_or_a_reason(tmp_path_factory, where, byte, cut):
    path = saved(tmp_path_factory.getbasetemp(), FRAMES[:1, :8, :8], "fuzz.npy")
    content = bytearray(path.read_bytes())
    content[where] = byte
    path.write_bytes(content[: len(content) - cut])
    try:
        facts = probe(path)
    except VideoError:
        return
    assert facts.frame_count > 0

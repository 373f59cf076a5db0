import csv
import gc
import hashlib
import subprocess
import sys

import av
import numpy as np
import pytest
import torch
from torch.nn import functional

from numbered_video import numbered_picture, numbers_of
from reelfit.errors import VideoError
from reelfit.video.decode import decode
from reelfit.video.frames import indexed_video, visit_frames

H264 = {"bf": "3", "g": "20"}
OPEN_GROUPS = "keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0:open-gop=1"
OPEN_GROUPS_265 = "keyint=12:min-keyint=12:bframes=3:scenecut=0:open-gop=1:pools=1:log-level=none"
VP9 = {"g": "20", "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "10"}
IRREGULAR = [40 * k + 7 * k * k % 31 + (500 if k > 30 else 0) for k in range(60)]
VIDEOS = {
    "b_frames.mp4": {"options": H264},
    "b_frames.mkv": {"options": H264},
    "b_frames.ts": {"options": H264},
    "fragments.mp4": {
        "options": H264,
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "h264.avi": {"options": H264},
    "raw.h264": {"options": H264},
    "open_groups.mp4": {"options": {"x264-params": OPEN_GROUPS}},
    "open_groups_hevc.mkv": {
        "codec": "libx265",
        "options": {"x265-params": OPEN_GROUPS_265},
    },
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "motion_jpeg.avi": {"codec": "mjpeg"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VP9},
    "irregular.mp4": {"options": H264, "times_ms": IRREGULAR},
    "irregular.mkv": {"options": H264, "times_ms": IRREGULAR},
}
BY_SEQUENCE = {"h264.avi", "raw.h264", "mpeg4.avi", "mpeg2.mpg"}


@pytest.mark.parametrize("name", VIDEOS)
def test_the_frames_asked_for_come_in_the_order_asked_for(make_video, name):
    path = make_video(name, **VIDEOS[name])
    for at in ([59, 0, 17, 17, 33, 12, 11, 13, 24, 23, 22, 3], [58], list(range(60))):
        assert numbers_of(decode(path, at=at)) == at
    with indexed_video(path) as video:
        strategy = visit_frames(video, [40], lambda index, frame: None)
    assert strategy == ("sequential" if name in BY_SEQUENCE else "groups")


@pytest.mark.parametrize("name", ["b_frames.mp4", "raw.h264"])
def test_no_frame_waits_for_the_garbage_collector(make_video, name):
    """A frame and its container of side data refer to each other, if one lets them."""
    path = make_video(name, **VIDEOS[name])
    decode(path, at=[3], size=16)
    gc.collect()
    gc.disable()
    try:
        decode(path, at=list(range(0, 60, 4)), size=16)
        assert gc.collect() < 15
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["open_groups.mp4", "open_groups_hevc.mkv", "mpeg2.ts"])
def test_every_pair_of_frames_around_a_keyframe_comes_from_its_groups_alone(make_video, name):
    path = make_video(name, **VIDEOS[name])
    pairs = [[first, second] for first in range(21, 27) for second in range(21, 27)]
    assert [numbers_of(decode(path, at=pair, size=(32, 64))) for pair in pairs] == pairs
    with indexed_video(path) as video:
        for pair in pairs:  # one after the other from the same open file
            assert visit_frames(video, pair, lambda index, frame: None) == "groups"


def test_real_videos_give_the_reference_frames(shared_videos):
    with (shared_videos / "frames.csv").open() as table:
        reference = {}
        for row in csv.DictReader(table):
            reference.setdefault(row["file"], {})[int(row["index"])] = row["md5_luma_plane"]
    assert len(reference) == 45
    # Its only group is damaged from here on: the decoder smears what follows.
    damaged = reference["decord__corrupted.mp4"]
    for index in [index for index in damaged if index >= 29]:
        del damaged[index]
    for name, asked in reference.items():
        assert luma_md5s(shared_videos / name, list(asked)) == asked, name


def test_both_strategies_agree_on_every_file_where_they_apply(shared_videos):
    compared = 0
    for path in sorted(shared_videos.iterdir()):
        try:
            index = index_of(path)
        except VideoError:
            continue
        if not index.trusted or path.suffix == ".csv":
            continue
        count = int(index.shown.sum())
        wanted = {0, count - 1, *np.linspace(0, count - 1, 9, dtype=int).tolist()}
        found = {}
        for strategy in ("groups", "sequential"):
            try:
                found[strategy] = luma_md5s(path, wanted, strategy=strategy)
            except VideoError as error:
                found[strategy] = error.reason
        assert found["groups"] == found["sequential"], path.name
        compared += 1
    assert compared >= 40


def luma_md5s(path, wanted, **how):
    found = {}
    with indexed_video(path) as video:
        visit_frames(video, wanted, lambda at, frame: found.update({at: luma_md5(frame)}), **how)
    return found


def index_of(path):
    with indexed_video(path) as video:
        return video.index


def luma_md5(frame):
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return hashlib.md5(lines[:, : plane.width].tobytes()).hexdigest()


def test_pixels_are_those_of_a_full_decode(shared_videos):
    path = shared_videos / "sample-videos__bottle-detection.mp4"
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    at = [119, 7, 60, 61, 7]
    expected = torch.from_numpy(np.stack([frames[index] for index in at])).permute(0, 3, 1, 2)
    assert torch.equal(decode(path, at=at), expected)


def test_scaling_agrees_with_the_float_way(shared_videos):
    path = shared_videos / "imageio-binaries__cockatoo_yuv420.mp4"
    whole = decode(path, at=[3]).float()
    exact = functional.interpolate(whole, size=(112, 112), mode="bilinear", antialias=True)
    scaled = decode(path, at=[3], size=112, fit="stretch").float()
    assert (scaled - exact).abs().max() <= 1.5


def test_letterbox_keeps_the_whole_picture_over_black(make_video):
    path = make_video("a.mp4", num_frames=12)
    boxed = decode(path, at=[11], size=64)
    assert boxed.shape == (1, 3, 64, 64)
    assert boxed[..., :16, :].max() == 0
    assert boxed[..., 48:, :].max() == 0
    assert numbers_of(boxed[..., 16:48, :]) == [11]
    assert torch.equal(boxed[..., 16:48, :], decode(path, at=[11], size=(32, 64), fit="stretch"))


def test_stretch_fills_the_size_with_the_whole_picture(make_video):
    path = make_video("a.mp4", num_frames=12)
    tall = decode(path, at=[11], size=(128, 32), fit="stretch")
    assert tall.shape == (1, 3, 128, 32)
    assert numbers_of(tall) == [11]


def test_centre_crop_fills_the_size_with_the_middle(make_video):
    path = make_video("a.mp4", num_frames=12)
    whole = decode(path, at=[11])
    assert torch.equal(decode(path, at=[11], size=64, fit="centre_crop"), whole[..., 32:96])
    wide = decode(path, at=[11], size=(16, 64), fit="centre_crop")
    shrunk = decode(path, at=[11], size=(32, 64), fit="stretch")
    assert (wide.int() - shrunk[..., 8:24, :].int()).abs().float().mean() < 3


def test_sizes_and_indices_that_make_no_sense_are_refused(make_video):
    path = make_video("a.mp4", num_frames=5)
    for wrong in (
        {"at": []},
        {"at": [-1]},
        {"at": [0], "size": 0},
        {"at": [0], "size": (8, 99999)},
    ):
        with pytest.raises(ValueError, match=r"at=|size="):
            decode(path, **wrong)
    with pytest.raises(VideoError, match="no such frame: frame 5 was asked for; 5 can be decoded"):
        decode(path, at=[0, 5])


@pytest.mark.parametrize("name", ["irregular.mp4", "irregular.mkv"])
def test_frames_at_a_time_are_those_that_are_seen_then(make_video, name):
    path = make_video(name, **VIDEOS[name])
    shown = np.array(IRREGULAR) - IRREGULAR[0]
    asked = [*(shown / 1000).tolist(), 0.0301, 1.3, 1.699, 1.7, 2.5]
    expected = [int(np.flatnonzero(shown <= round(1000 * at, 3)).max()) for at in asked]
    assert numbers_of(decode(path, at_seconds=asked)) == expected
    with pytest.raises(VideoError, match=r"no such frame: 9 s were asked for"):
        decode(path, at_seconds=[0, 9])


def test_without_times_the_mean_rate_tells_which_frames_are_seen(make_video):
    path = make_video("h264.avi", **VIDEOS["h264.avi"])
    assert numbers_of(decode(path, at_seconds=[0, 0.04, 0.999, 1.0, 2.36])) == [0, 1, 24, 25, 59]
    for wrong in ({}, {"at": [0], "at_seconds": [0]}, {"at_seconds": [-1]}, {"at_seconds": []}):
        with pytest.raises(ValueError, match="at_seconds"):
            decode(path, **wrong)


def test_one_pixel_and_odd_sides_decode(make_video):
    for name, shape in (("odd.mkv", (33, 45)), ("one.mkv", (1, 1))):
        path = make_video(
            name, codec="ffv1", num_frames=2, shape=lambda picture, s=shape: picture[: s[0], : s[1]]
        )
        assert decode(path, at=[1]).shape == (1, 3, *shape)
        assert decode(path, at=[1, 0], size=8).shape == (2, 3, 8, 8)


MATRICES = {
    (1, 0, 0, 1): (0, False),
    (0, 1, -1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, -1, 1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (1, 0, 0, -1): (180, True),
    (0, 1, 1, 0): (90, True),
    (0, -1, -1, 0): (270, True),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_pictures_stand_upright_under_every_display_matrix(make_video, matrix):
    path = make_video("a.mp4", num_frames=3, shape=with_bright_corner)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    stored = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], dtype=">i4")
    data[place : place + 36] = stored.tobytes()
    path.write_bytes(data)
    upright = decode(path, at=[2]).float().mean(dim=(0, 1))
    a, b, c, d = matrix
    across, down = a * -1 + c * -1, b * -1 + d * -1  # where the top left corner, (-1, -1), goes
    assert tuple(upright.shape) == ((64, 128) if a else (128, 64))
    corner = upright[-16:] if down > 0 else upright[:16]
    corner = corner[:, -16:] if across > 0 else corner[:, :16]
    assert corner.mean() > 200
    # And the top right one, less bright, follows.
    across, down = a * 1 + c * -1, b * 1 + d * -1
    corner = upright[-16:] if down > 0 else upright[:16]
    corner = corner[:, -16:] if across > 0 else corner[:, :16]
    assert 100 < corner.mean() < 160


def with_bright_corner(picture):
    marked = np.zeros_like(picture)
    marked[:16, :16] = 240
    marked[:16, -16:] = 130
    return marked


def test_memory_does_not_grow_with_the_length_of_the_video(make_video):
    measured = [
        peak_bytes(make_video(f"{num_frames}.mp4", num_frames=num_frames, shape=enlarged))
        for num_frames in (30, 500)
    ]
    # 470 more frames would be 46 MB.
    assert measured[1] - measured[0] < 8 << 20


def enlarged(picture):
    return picture.repeat(2, axis=0).repeat(2, axis=1)


def peak_bytes(path):
    program = (
        "import sys, resource, torch; from pathlib import Path\n"
        "from reelfit.video.decode import decode\n"
        "torch.set_num_threads(1)\n"
        "path, count = Path(sys.argv[1]), int(sys.argv[2])\n"
        "decode(path, at=[k * count // 8 for k in range(8)], size=112)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(path), path.stem],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout)


def test_numbered_pictures_can_be_told_apart():
    pictures = torch.from_numpy(np.stack([numbered_picture(k) for k in range(256)]))
    assert numbers_of(pictures.permute(0, 3, 1, 2)) == list(range(256))

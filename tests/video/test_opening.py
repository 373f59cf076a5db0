"""What a video opened lightly, without a frame decoded for it, says beside one opened as usual."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

import reelfit
from numbered_video import numbers_of
from reelfit.errors import VideoError
from reelfit.video.container import open_video
from reelfit.video.decode import decode
from reelfit.video.frames import indexed_video, visit_frames
from reelfit.video.packets import index_packets

H264 = {"bf": "3", "g": "20"}


def index_of(path, *, lightly):
    with open_video(path, lightly=lightly) as video:
        index = index_packets(video, video.packets())
        return vars(index) | {"losses": video.losses}


def same(one, other):
    return all(np.array_equal(one[key], other[key]) for key in one.keys() | other.keys())


def test_the_packets_of_every_real_file_are_the_same(shared_videos):
    compared = 0
    for path in sorted(shared_videos.iterdir()):
        try:
            usual = index_of(path, lightly=False)
        except VideoError:
            continue
        assert same(usual, index_of(path, lightly=True)), path.name
        compared += 1
    assert compared >= 45


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_the_packets_are_the_same_in_every_container(make_video, name):
    path = make_video(name, options=H264)
    assert same(index_of(path, lightly=False), index_of(path, lightly=True))


def test_no_frame_is_decoded_to_learn_of_the_stream(make_video):
    path = make_video("a.mp4", options=H264)
    formats = {}
    for lightly in (False, True):
        with open_video(path, lightly=lightly) as video:
            formats[lightly] = video.stream.codec_context.pix_fmt  # only a frame tells it
    assert formats == {False: "yuv420p", True: None}


def test_other_streams_are_left_on_the_disk(shared_videos):
    with open_video(shared_videos / "mmaction2__demo.mp4", lightly=True) as video:
        discarded = [stream.discard for stream in video.container.streams]
        assert discarded.count(av.stream.Discard.all) == len(discarded) - 1


def test_the_shape_of_pixels_that_only_the_stream_states_is_seen(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        stream.codec_context.thread_count = 1
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"pasp", b"free"))  # the container no longer says it
    assert whole != path.read_bytes()
    assert reelfit.probe(path).pixel_aspect == 2
    assert reelfit.decode(path, at=[0]).shape[2:] == (16, 64)


def test_a_stream_that_hides_how_far_it_reorders_gives_all_frames(make_video):
    path = make_video("a.mp4", options=H264 | {"b-pyramid": "normal"})
    path.write_bytes(without_restrictions(path.read_bytes()))
    at = [59, 0, 17, 33, 12, 11]
    assert numbers_of(decode(path, at=at)) == at
    with indexed_video(path) as video:
        assert visit_frames(video, list(range(60)), lambda number, frame: None) == "groups"


def without_restrictions(file):
    """``file`` with the parameter set's flag for its bitstream restrictions taken back."""
    length = file.index(b"avcC") + 4 + 6
    start = length + 2
    end = start + int.from_bytes(file[length:start])
    bits = "".join(f"{byte:08b}" for byte in file[start:end])
    (found,) = re.finditer(r"1111(0001\d{3})\1", bits)  # as x264 writes them
    bits = bits[: found.start()] + "0" + bits[found.start() + 1 :]
    changed = int(bits, 2).to_bytes(end - start)
    return file[:start] + changed + file[end:]

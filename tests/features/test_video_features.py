"""A video's features are those of its frames, whatever the order in which they come."""

import itertools
import subprocess
import sys

import av
import numpy as np
import pytest

from reelfit.features import FRAME_FEATURES, FRAME_NAMES, PIXEL_NAMES
from reelfit.features.frame import Frame
from reelfit.features.motion import MOTION_NAMES
from reelfit.features.video_features import VideoFeatures


@pytest.fixture(scope="module")
def clip(photograph):
    """12 frames of a camera that moves."""
    return np.stack([photograph[:, 100:183, 200 + 6 * k : 293 + 6 * k] for k in range(12)])


def noisy(frames, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def features_of(frames, sampled=None, order=None):
    sampled = list(range(len(frames))) if sampled is None else sampled
    features = VideoFeatures(sampled, frame_count=len(frames))
    for index in order or features.wanted:
        features.take(index, np.ascontiguousarray(frames[index]))
    return features.values()


def test_the_means_are_over_the_sampled_frames_and_the_deviations_over_time(clip):
    sampled = [1, 5, 9]
    found = features_of(clip, sampled)
    assert list(found) == PIXEL_NAMES
    frames = [Frame(clip[at]) for at in sampled]
    by_frame = [[v for g in FRAME_FEATURES.values() for v in g.measure(frame)] for frame in frames]
    for name, values in zip(FRAME_NAMES, np.array(by_frame).T, strict=True):
        assert found[f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-12), name
        assert found[f"{name}_temporal_std"] == pytest.approx(values.std(), rel=1e-9), name


def test_motion_is_between_each_sampled_frame_and_the_one_that_follows(clip):
    found = features_of(clip, [1, 5, 11])
    levels = [Frame(picture).levels.astype(int) for picture in clip]
    steps = [abs(levels[at + 1] - levels[at]).mean() for at in (1, 5, 10)]  # the last one has none
    assert found["frame_difference_mean"] == pytest.approx(np.mean(steps), rel=1e-12)
    assert found["frame_difference_min"] == pytest.approx(np.min(steps), rel=1e-12)


def test_the_order_and_a_second_beginning_do_not_matter(clip):
    sampled = [0, 4, 5, 11]
    expected = features_of(clip, sampled)
    wanted = VideoFeatures(sampled, frame_count=12).wanted
    assert wanted == [0, 1, 4, 5, 6, 10, 11]
    for order in itertools.islice(itertools.permutations(wanted), 0, 5040, 450):
        assert features_of(clip, sampled, list(order)) == expected
    features = VideoFeatures(sampled, frame_count=12)
    for index in (0, 4, 5):
        features.take(index, clip[11])  # what a damaged index gave, before decoding began again
    for index in wanted:
        features.take(index, clip[index])
    assert features.values() == expected


def test_in_their_order_frames_wait_for_one_more_at_the_most(clip):
    features = VideoFeatures(list(range(0, 12, 2)), frame_count=12)
    for index in features.wanted:
        features.take(index, clip[index])
        assert len(features._held) <= 1


def test_a_frozen_video_has_no_deviation_over_time_and_no_differences(clip):
    frozen = features_of(np.repeat(clip[:1], 7, axis=0))
    for name in FRAME_NAMES:
        assert frozen[f"{name}_temporal_std"] == 0, name
    assert all(frozen[name] == 0 for name in MOTION_NAMES)
    moving = features_of(clip)
    assert all(moving[f"{name}_temporal_std"] > 0 for name in FRAME_NAMES)
    assert all(moving[name] > 0 for name in MOTION_NAMES)


def test_one_frozen_frame_and_one_that_comes_again_later_are_seen(clip):
    moving = noisy(clip, 3)
    whole = features_of(moving)
    assert whole["frame_difference_min"] > 1
    assert whole["repeated_frame_difference"] > 0.2
    frozen, again = moving.copy(), moving.copy()
    frozen[5] = frozen[4]
    again[6] = again[1]
    assert features_of(frozen)["frame_difference_min"] == 0
    assert features_of(frozen)["repeated_frame_difference"] == 0
    assert features_of(again)["frame_difference_min"] > 1
    assert features_of(again)["repeated_frame_difference"] == 0


def test_a_patch_that_moves_by_itself_raises_local_motion(clip):
    still = noisy(np.repeat(clip[:1], 6, axis=0), 2)
    patched = still.copy()
    for k in range(6):
        patched[k, :, 20:36, 10 + 8 * k : 26 + 8 * k] = 255
    assert features_of(patched)["local_motion"] > 10 * features_of(still)["local_motion"]


def test_a_single_frame_has_nothing_to_compare_and_finite_values(clip):
    found = features_of(clip[:1])
    assert all(found[name] == 0 for name in MOTION_NAMES)
    assert all(np.isfinite(value) for value in found.values())


def test_a_change_of_size_on_the_way_is_no_motion(clip, photograph):
    larger = [np.ascontiguousarray(photograph[:, :120, :160])] * 4
    found = features_of([*clip[:4], *larger])
    expected = features_of(clip[:4])
    assert found["frame_difference_mean"] == pytest.approx(
        expected["frame_difference_mean"] * 3 / 6, rel=1e-9
    )  # three pairs of either size, and none between them


PROGRAM = """
import sys
from pathlib import Path
from reelfit.features.video_features import VideoFeatures
from reelfit.memory.allocator import map_large_blocks
from reelfit.memory.record import host_memory
from reelfit.stages.features import FRAME_BYTES
from reelfit.video.decode import visit_pictures
from reelfit.video.frames import indexed_video
import torch

torch.set_num_threads(1)
map_large_blocks(FRAME_BYTES)
base_bytes = host_memory().rss_bytes
features = VideoFeatures(list(range(60)), frame_count=60)
with indexed_video(Path(sys.argv[1])) as video:
    visit_pictures(video, features.wanted, lambda at, p: features.take(at, p.numpy()))
print(features.values()["dct_dc_mean_mean"], (host_memory().peak_bytes - base_bytes) / 2**20)
"""


@pytest.mark.slow
def test_a_video_of_1080p_is_measured_within_64_mib_over_the_process_base(photograph, tmp_path):
    large = np.kron(photograph.transpose(1, 2, 0), np.ones((3, 3, 1), np.uint8))[:1080, :1920]
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(60):
            shifted = np.ascontiguousarray(np.roll(large, 8 * number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")))
        container.mux(stream.encode(None))
    for _ in range(3):  # where the heap lies is chance, and decides how it fares
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True
        )
        brightness, peak_mib = map(float, told.stdout.split())
        assert brightness > 100
        assert peak_mib < 64

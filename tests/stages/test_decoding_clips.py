"""What becomes of one video: the frames chosen of it, its copies, and what damage does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from numbered_video import Recipe, numbers_of, write_video
from reelfit.augment import check_strengths
from reelfit.augment.online import OnlineAugmentation
from reelfit.errors import VideoError
from reelfit.stages.decoding import clips_of, decode_clip
from reelfit.study import Study
from reelfit.study_yaml import read_study
from reelfit.video.probe import probe

H264 = {"bf": "0", "g": "10"}
ID = "a" * 32


@pytest.fixture
def study(tmp_path: Path):
    """``study("clips.frames=4")``"""
    (tmp_path / "study.yaml").write_text("videos: {folder: clips}\nmodels: [naive_cnn]\n")

    def make(*changes: str) -> Study:
        small = ["clips.size=[32,64]", *changes]
        return read_study(tmp_path / "study.yaml", changes=small, environment={})

    return make


def test_uniform_is_even_in_time_and_by_choice_in_index(tmp_path, study):
    # Ten frames in the first second, then one a second: time is not where the frames are.
    times = [*range(0, 1000, 100), *range(1000, 8000, 1000)]
    path = write_video(tmp_path / "a.mp4", Recipe(num_frames=17, times_ms=times))
    by_time = decode_clip(path, ID, study("clips.frames=4"))
    by_index = decode_clip(path, ID, study("clips.frames=4", "clips.spread=index"))
    assert by_time.at == numbers_of(by_time.frames) == [8, 11, 13, 15]
    assert by_index.at == numbers_of(by_index.frames) == [2, 6, 10, 14]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("count", [1, 3, 7, 12, 30])
def test_at_a_constant_rate_time_and_index_are_the_same(tmp_path, study, name, count):
    path = write_video(tmp_path / name, Recipe(num_frames=60, fps=30, options=H264))
    chosen = [
        decode_clip(path, ID, study(f"clips.frames={count}", f"clips.spread={spread}")).at
        for spread in ("time", "index")
    ]
    assert chosen[0] == chosen[1]


def test_random_frames_are_one_of_each_part_of_the_time_and_a_function_of_the_video(
    tmp_path, study
):
    path = write_video(tmp_path / "a.mp4", Recipe(num_frames=60, options=H264))
    drawn = study("clips.frames=6", "clips.sampling=random")
    at = decode_clip(path, ID, drawn).at
    assert at == decode_clip(path, ID, drawn).at
    assert at != decode_clip(path, "b" * 32, drawn).at
    assert [frame // 10 for frame in at] == list(range(6))


def damaged(path: Path, frame_bytes: slice) -> Path:
    """The same file with its middle overwritten."""
    content = bytearray(path.read_bytes())
    begin, end = (int(share * len(content)) for share in (frame_bytes.start, frame_bytes.stop))
    content[begin:end] = np.random.default_rng(0).bytes(end - begin)
    path.write_bytes(content)
    return path


def test_a_damaged_video_is_refused_or_shown_by_its_whole_frames(tmp_path, study):
    # Groups of 20 frames in clusters of 5: reading goes on in the middle of a group.
    groups = {"bf": "0", "g": "20", "x264-params": "scenecut=0"}
    clusters = {"cluster_time_limit": "200"}
    recipe = Recipe(num_frames=60, options=groups, container_options=clusters)
    path = damaged(write_video(tmp_path / "a.mkv", recipe), slice(0.4, 0.45))
    many = ["clips.frames=30", "clips.spread=index"]
    with pytest.raises(VideoError, match=r"damaged frame: frames before frame .* are lost"):
        decode_clip(path, ID, study(*many))
    with pytest.raises(VideoError, match="damaged: matroska"):
        probe(path)
    kept = decode_clip(path, ID, study(*many, "videos.on_damage=keep_whole_frames"))
    # Frame 23 is torn, 24 to 29 are gone, and what follows in their group refers to them.
    assert set(numbers_of(kept.frames)) <= {*range(23), *range(40, 60)}
    assert kept.left_out == 11
    assert probe(path, on_damage="keep_whole_frames").frame_count == 54


def test_a_video_without_one_whole_frame_is_refused_whatever_is_kept(tmp_path, study):
    path = write_video(tmp_path / "a.mkv", Recipe(num_frames=5, options=H264))
    damaged(path, slice(0.2, 0.99))
    with pytest.raises(VideoError):
        decode_clip(path, ID, study("videos.on_damage=keep_whole_frames"))


def test_copies_made_when_read_are_those_of_the_store_in_the_first_epoch(tmp_path, study):
    path = write_video(tmp_path / "a.mp4", Recipe(num_frames=60, options=H264))
    stored = study("clips.copies=3", "clips.augment=standard", "seed=5")
    clips = list(clips_of(decode_clip(path, ID, stored), ID, stored))
    assert [clip.copy for clip in clips] == [0, 1, 2, 3]
    (original,) = clips_of(
        decode_clip(path, ID, online := study("clips.augment=online", "seed=5")), ID, online
    )
    assert online.clips.store == "originals"
    made = OnlineAugmentation(
        strengths=check_strengths(online.clips.augment),
        seed=5,
        copies=3,
        video_ids=[ID] * 4,
        numbers=np.arange(4),
    )
    first, again, second = (made.in_epoch(epoch) for epoch in (0, 0, 1))
    for row, clip in enumerate(clips):
        seen = first(row, original.pixels)
        assert np.array_equal(seen, clip.pixels)
        assert np.array_equal(seen, again(row, original.pixels))
        assert np.array_equal(second(row, original.pixels), seen) == (row == 0)


def test_copies_made_when_read_have_the_same_bits_under_any_number_of_threads(tmp_path, study):
    path = write_video(tmp_path / "a.mp4", Recipe(num_frames=60, options=H264))
    frames = decode_clip(path, ID, study()).frames.numpy()
    made = OnlineAugmentation(check_strengths("standard"), 0, 8, [ID] * 9, np.arange(9))
    seen = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        seen.append([made.in_epoch(4)(row, frames) for row in range(9)])
    torch.set_num_threads(before)
    assert all(np.array_equal(*pair) for pair in zip(*seen, strict=True))


def test_the_short_ways_of_the_study_say_what_they_mean(study):
    assert study("clips.store=jpeg").clips.format == "jpeg"
    assert study("clips.store=jpeg").clips.store == "copies"
    assert study("clips.augment=online").clips.augment == "standard"
    assert study("clips.size=48").clips.height_width == (48, 48)
    assert study().clips.height_width == (32, 64)

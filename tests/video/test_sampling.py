import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelfit.video.sample import SAMPLINGS, sample_frames, sample_share


def sample(frame_count, count, sampling, *, every=1, seed=0):
    generator = np.random.Generator(np.random.Philox(seed))
    return sample_frames(
        frame_count, count=count, sampling=sampling, every=every, generator=generator
    )


@given(st.integers(1, 500), st.integers(1, 40), st.sampled_from(SAMPLINGS), st.integers(1, 20))
def test_every_sample_is_as_long_as_asked_and_inside_the_video(frames, count, sampling, every):
    at = sample(frames, count, sampling, every=every)
    assert len(at) == count
    assert at == sorted(at)
    assert at[0] >= 0
    assert at[-1] < frames
    if frames >= count:
        assert len(set(at)) == count
    else:
        assert set(at) == set(range(frames))  # each frame is shown, none more than one time more
        shown = np.bincount(at)
        assert shown.max() - shown.min() <= 1


@given(st.integers(8, 2000))
def test_uniform_is_spread_evenly_over_the_whole_video(frames):
    at = sample(frames, 8, "uniform")
    steps = np.diff(at)
    assert steps.max() - steps.min() <= 1
    assert at[0] <= frames / 8
    assert at[-1] >= frames - 1 - frames / 8
    assert abs(at[0] - (frames - 1 - at[-1])) <= 1


def test_uniform_takes_the_middle_of_each_part():
    assert sample(70, 7, "uniform") == [5, 15, 25, 35, 45, 55, 65]


def test_centre_takes_consecutive_frames_around_the_middle():
    assert sample(100, 4, "centre") == [48, 49, 50, 51]
    assert sample(5, 5, "centre") == [0, 1, 2, 3, 4]


def test_every_nth_takes_its_steps_around_the_middle_and_shorter_ones_where_it_must():
    assert sample(100, 4, "every_nth", every=10) == [34, 44, 54, 64]
    assert sample(10, 4, "every_nth", every=10) == [0, 3, 6, 9]
    assert sample(100, 1, "every_nth", every=10) == [49]


def test_random_is_a_function_of_its_generator_and_draws_one_of_each_part():
    first, again, other = (sample(800, 8, "random", seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert [index // 100 for index in first] == list(range(8))
    drawn = {sample(800, 8, "random", seed=seed)[0] for seed in range(400)}
    assert min(drawn) < 5
    assert max(drawn) > 94


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        sample(0, 8, "uniform")
    with pytest.raises(ValueError, match="sampling='even' is not one of uniform, centre"):
        sample(10, 8, "even")
    with pytest.raises(ValueError, match="needs a generator"):
        sample_frames(10, count=2, sampling="random")


@given(st.integers(1, 5000), st.floats(0.001, 1), st.integers(1, 20), st.integers(20, 100))
def test_a_share_is_within_its_bounds_and_spread_evenly(frames, share, least, most):
    at = sample_share(frames, share=share, least=least, most=most)
    assert len(at) <= min(frames, most)
    assert len(at) >= min(frames, least)
    assert len(set(at)) == len(at)
    if min(frames, least) < len(at) < min(frames, most):
        assert share * frames <= len(at) + 1e-6 < share * frames + 1 + 1e-5
    assert at == sorted(at)
    assert 0 <= at[0] < -(-frames // len(at))
    assert np.diff(at).size == 0 or np.ptp(np.diff(at)) <= 1


@pytest.mark.parametrize(
    ("frames", "count"), [(1, 1), (4, 4), (49, 5), (70, 7), (300, 30), (500, 50), (10**6, 50)]
)
def test_the_usual_share_is_a_tenth_at_least_5_and_at_most_50(frames, count):
    assert len(sample_share(frames, share=0.1, least=5, most=50)) == count

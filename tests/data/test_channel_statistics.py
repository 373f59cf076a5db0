"""Statistics of channels are those of the pixels to the last bits, in one pass."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reelfit.data.channel_statistics import Normalisation, measure_channels
from reelfit.errors import StudyError


def clips_of(seed: int, *shapes: tuple[int, int, int]) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 200, 3)[:, None, None]
    return [
        np.clip(low + generator.integers(0, 90, (time, 3, height, width)), 0, 255).astype(np.uint8)
        for time, height, width in shapes
    ]


SIDES = st.integers(1, 9)


@given(st.integers(0, 2**20), st.integers(1, 4), st.tuples(SIDES, SIDES, SIDES))
def test_they_are_those_of_numpy_in_float64_whatever_the_clips(seed, count, shape):
    clips = clips_of(seed, *[shape] * count)
    found = measure_channels(clips)
    pixels = np.concatenate([clip.transpose(1, 0, 2, 3).reshape(3, -1) for clip in clips], axis=1)
    pixels = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(1), rtol=0, atol=1e-9)
    assert found.clips == len(clips)


def test_clips_that_can_be_passed_over_once_are_enough():
    clips = clips_of(1, (4, 8, 8), (4, 8, 8))
    assert measure_channels(iter(clips)) == measure_channels(clips)
    with pytest.raises(ValueError, match="no clip"):
        measure_channels([])


def test_normalised_clips_have_mean_zero_and_deviation_one_in_each_channel():
    clips = clips_of(2, (4, 16, 16), (4, 16, 16))
    found = measure_channels(clips)
    inputs = torch.from_numpy(np.stack(clips)).double() / 127.5 - 1
    shown = Normalisation(found.mean, found.std).apply(inputs)
    assert torch.allclose(shown.mean((0, 1, 3, 4)), torch.zeros(3).double(), atol=1e-9)
    assert torch.allclose(shown.std((0, 1, 3, 4), correction=0), torch.ones(3).double(), atol=1e-9)


def test_halves_leave_clips_as_they_are():
    clips = torch.rand(2, 3, 3, 4, 5) * 2 - 1
    assert torch.equal(Normalisation((0.5,) * 3, (0.5,) * 3).apply(clips), clips)


def test_a_channel_without_contrast_is_told():
    found = measure_channels([np.full((2, 3, 4, 4), 7, np.uint8)])
    assert found.std == (0.0, 0.0, 0.0)
    with pytest.raises(StudyError, match="red is the same in every pixel"):
        Normalisation(found.mean, found.std)

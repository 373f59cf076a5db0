"""Clips are brought to the frames, size and colours that a network needs."""

import pytest
import torch
from torch.nn.functional import interpolate

from reelfit.models.input_adapter import InputAdapter, Needs, interpolation


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).double() * 2 - 1


@pytest.mark.parametrize("size", [(16, 16), (9, 31), (40, 10), (64, 50)])
def test_sizes_are_interpolated_as_torch_does_with_antialiasing(size):
    clips = noise(2, 3, 3, 32, 24)
    found = InputAdapter(Needs(size=size))(clips)
    wanted = interpolate(clips.flatten(0, 1), size, mode="bilinear", antialias=True)
    torch.testing.assert_close(found, wanted.unflatten(0, (2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 3, 8, 16])
def test_frames_are_interpolated_alike_over_time(frames):
    clips = noise(2, 8, 3, 4, 5)
    found = InputAdapter(Needs(frames=frames))(clips)
    over_time = clips.flatten(2).unsqueeze(1)
    wanted = interpolate(over_time, (frames, 60), mode="bilinear", antialias=True)
    torch.testing.assert_close(found, wanted.reshape(found.shape), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), [(1, 7), (7, 1), (8, 16), (112, 224), (224, 112)])
def test_what_does_not_change_stays_as_it_is(before, after):
    weights = interpolation(before, after)
    torch.testing.assert_close(weights.sum(1), torch.ones(after).double())
    assert weights.min() >= 0
    assert (weights.sum(0) > 0).all()  # no frame and no row of pixels is passed over


def test_a_clip_that_is_as_needed_is_given_on_untouched():
    clips = noise(1, 4, 3, 8, 8)
    assert InputAdapter(Needs())(clips) is clips
    assert InputAdapter(Needs(frames=4, size=(8, 8)))(clips) is clips


def test_pixels_are_normalised_from_0_to_1():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    clips = noise(2, 3, 3, 4, 4)
    found = InputAdapter(Needs(mean=mean, std=std))(clips)
    for channel in range(3):
        wanted = ((clips[:, :, channel] + 1) / 2 - mean[channel]) / std[channel]
        torch.testing.assert_close(found[:, :, channel], wanted, rtol=0, atol=1e-12)


def test_half_precision_does_not_reach_the_pixels():
    adapter, clips = InputAdapter(Needs(frames=4, size=(16, 16))), noise(1, 8, 3, 20, 20).float()
    wanted = adapter(clips)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(adapter(clips), wanted)


def test_what_changes_is_told_before_and_after():
    needs = Needs(frames=16, size=(224, 224))
    assert needs.changes(frames=16, size=(224, 224)) == {}
    assert needs.changes(frames=8, size=(112, 64)) == {
        "frames": [8, 16],
        "size": [[112, 64], [224, 224]],
    }
    assert Needs().changes(frames=8, size=(112, 64)) == {}

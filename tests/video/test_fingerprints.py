"""What a picture looks like, in 64 bits."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from reelfit.video.fingerprint import FRAMES, fingerprint, low_frequencies, spread_places
from reelfit.video.picture import resize


def scene(seed: int, height: int = 180, width: int = 320) -> torch.Tensor:
    """Noise of all sizes, half as strong where it is half as large, as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((3, height, width))
    for octave in range(1, 7):
        noise = torch.randn((1, 1, 2**octave, 2**octave), generator=generator) / 2**octave
        total += torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")[0]
    return (128 + 80 * total).clamp(0, 255).to(torch.uint8)


def apart(first: torch.Tensor, second: torch.Tensor) -> int:
    one, other = fingerprint(first), fingerprint(second)
    assert one is not None
    assert other is not None
    return (one ^ other).bit_count()


def test_the_coefficients_are_those_of_scipy():
    grey = np.random.default_rng(0).uniform(0, 255, (32, 32))
    np.testing.assert_allclose(low_frequencies(grey), dctn(grey, norm="ortho")[1:9, 1:9])


@pytest.mark.parametrize("seed", range(5))
def test_the_bits_say_which_coefficients_of_scipy_are_above_their_median(seed):
    small = np.random.default_rng(seed).integers(0, 256, (3, 32, 32), np.uint8)
    grey = np.tensordot([0.299, 0.587, 0.114], small.astype(float), axes=1)
    coefficients = dctn(grey, norm="ortho")[1:9, 1:9].ravel()
    bits = "".join(str(int(c > np.median(coefficients))) for c in coefficients)
    assert fingerprint(torch.from_numpy(small)) == int(bits, 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_stays_near_itself_when_scaled_brightened_and_cropped_a_little(seed):
    picture = scene(seed)
    darker = (picture.float() * 0.8 + 12).to(torch.uint8)
    assert apart(picture, resize(picture, (90, 160), "stretch")) <= 2
    assert apart(picture, darker) <= 4
    assert apart(picture, picture[:, 2:-2, 3:-3]) <= 6


def test_pictures_of_other_things_are_far_apart():
    distances = [apart(scene(a), scene(b)) for a in range(12) for b in range(a)]
    assert min(distances) > 12
    assert 28 < np.mean(distances) < 36


def test_bars_that_two_pictures_have_in_common_do_not_bring_them_together():
    first, second = scene(1), scene(2)
    for picture in (first, second):
        picture[:, :, :50] = picture[:, :, -50:] = 0
    assert apart(first, second) > 16


@pytest.mark.parametrize(
    "picture",
    [
        torch.zeros((3, 90, 160), dtype=torch.uint8),
        torch.tensor([200, 20, 90], dtype=torch.uint8)[:, None, None].expand(3, 90, 160),
        torch.arange(160, dtype=torch.uint8).expand(3, 90, 160),
        torch.randint(10, 14, (3, 90, 160), generator=torch.Generator().manual_seed(0)).to(
            torch.uint8
        ),
    ],
    ids=["black", "one colour", "a slope", "black with noise"],
)
def test_what_is_too_flat_to_tell_has_no_fingerprint(picture):
    assert fingerprint(picture) is None


def test_the_frames_told_by_are_spread_evenly():
    assert spread_places(8) == [0, 2, 4, 5, 7]
    assert spread_places(3) == [0, 1, 2]
    assert len(spread_places(100)) == FRAMES

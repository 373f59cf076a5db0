"""Each feature rises and falls with what it is for, and agrees with scipy where that has it."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import fft, ndimage, signal
from sklearn.datasets import load_sample_image

from reelfit.features import CLIP_FEATURES, FEATURE_NAMES, FRAME_FEATURES, clip_features

LUMA = np.array([0.299, 0.587, 0.114])


def features_of(frames, **facts):
    known = {"bit_rate": 800_000, "fps": 25.0, "width": 640, "height": 360} | facts
    return clip_features(np.ascontiguousarray(frames), **known)


@pytest.fixture(scope="module")
def clip():
    """A photograph filmed by a camera that moves: 4 frames of sides that are no multiple of 8."""
    photograph = load_sample_image("china.jpg").transpose(2, 0, 1)
    return np.stack([photograph[:, 100:183, 200 + 6 * k : 200 + 6 * k + 93] for k in range(4)])


@pytest.fixture(scope="module")
def luma(clip):
    return np.einsum("c,tchw->thw", LUMA, clip)


def as_clip(levels):
    return np.repeat(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[:, None], 3, axis=1)


def noisy(frames, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def as_jpeg(frames, *, quality):
    pictures = []
    for frame in frames:
        written = io.BytesIO()
        Image.fromarray(frame.transpose(1, 2, 0)).save(written, "JPEG", quality=quality)
        pictures.append(np.array(Image.open(written)).transpose(2, 0, 1))
    return np.stack(pictures)


def test_the_names_come_in_order_and_none_twice(clip):
    assert list(features_of(clip)) == FEATURE_NAMES
    assert len(set(FEATURE_NAMES)) == 2 * len(FRAME_FEATURES) + len(CLIP_FEATURES) + 4


def test_the_means_are_over_frames_and_the_deviations_over_time(clip):
    whole = features_of(clip)
    single = [features_of(clip[k : k + 1]) for k in range(len(clip))]
    for name in FRAME_FEATURES:
        values = [alone[f"{name}_mean"] for alone in single]
        assert whole[f"{name}_mean"] == pytest.approx(np.mean(values), rel=1e-6), name
        assert whole[f"{name}_temporal_std"] == pytest.approx(np.std(values), rel=1e-5), name


def test_the_noise_residual_is_what_scipys_median_takes_away(clip, luma):
    residual = luma - ndimage.median_filter(luma, size=(1, 3, 3), mode="nearest")
    found = features_of(clip)
    assert found["noise_residual_energy_mean"] == pytest.approx(np.mean(residual**2), rel=1e-4)
    assert found["noise_residual_mean_mean"] == pytest.approx(np.mean(abs(residual)), rel=1e-4)
    by_frame = residual.std(axis=(1, 2)).mean()
    assert found["noise_residual_std_mean"] == pytest.approx(by_frame, rel=1e-4)


def test_the_coefficients_are_those_of_scipys_dct(clip, luma):
    filled = np.pad(luma, [(0, 0), (0, -luma.shape[1] % 8), (0, -luma.shape[2] % 8)], mode="edge")
    blocks = filled.reshape(4, filled.shape[1] // 8, 8, filled.shape[2] // 8, 8)
    blocks = blocks.transpose(0, 1, 3, 2, 4)
    coefficients = fft.dctn(blocks, axes=(3, 4), norm="ortho").reshape(4, -1, 64)
    dc, ac = coefficients[..., 0], coefficients[..., 1:]
    expected = {
        "dct_dc_mean": dc.mean(axis=1),
        "dct_dc_std": dc.std(axis=1),
        "dct_ac_mean": abs(ac).mean(axis=(1, 2)),
        "dct_ac_std": ac.std(axis=(1, 2)),
        "dct_ac_energy": (ac**2).sum(axis=2).mean(axis=1),
    }
    found = features_of(clip)
    for name, values in expected.items():
        assert found[f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-4), name
        assert found[f"{name}_temporal_std"] == pytest.approx(values.std(), rel=1e-2), name


def test_laplacian_and_gradient_are_those_of_scipy(clip, luma):
    found = features_of(clip)
    four = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    laplacian = np.stack([ndimage.convolve(frame, four, mode="nearest") for frame in luma])
    expected = laplacian.var(axis=(1, 2)).mean()
    assert found["laplacian_variance_mean"] == pytest.approx(expected, rel=1e-4)
    lengths = np.stack(
        [
            np.hypot(*(ndimage.sobel(frame, axis, mode="nearest") for axis in (0, 1)))
            for frame in luma
        ]
    )
    assert found["gradient_mean_mean"] == pytest.approx(lengths.mean(), rel=1e-4)
    deviation = lengths.std(axis=(1, 2)).mean()
    assert found["gradient_std_mean"] == pytest.approx(deviation, rel=1e-4)


def test_noise_raises_the_noise_residual(clip):
    energies = [
        features_of(noisy(clip, sigma))["noise_residual_energy_mean"] for sigma in (0, 4, 8, 16)
    ]
    assert energies == sorted(energies)
    flat = np.full((3, 3, 64, 64), 128, np.uint8)
    assert features_of(flat)["noise_residual_energy_mean"] == 0
    assert 20 < features_of(noisy(flat, 10))["noise_residual_energy_mean"] < 100


def test_blur_lowers_what_tells_sharpness(clip):
    blurred = ndimage.gaussian_filter(clip, sigma=(0, 0, 2, 2))
    sharp, soft = features_of(clip), features_of(blurred)
    for name in ("laplacian_variance", "gradient_mean", "noise_residual_energy", "dct_ac_energy"):
        assert soft[f"{name}_mean"] < 0.6 * sharp[f"{name}_mean"], name
    assert soft["dct_dc_mean_mean"] == pytest.approx(sharp["dct_dc_mean_mean"], rel=0.02)


def test_hard_compression_raises_blocking(clip):
    soft = ndimage.gaussian_filter(clip, sigma=(0, 0, 1, 1))
    values = [
        features_of(as_jpeg(soft, quality=quality))["blocking_mean"] for quality in (95, 30, 5)
    ]
    assert values == sorted(values)
    assert values[-1] > values[0] + 2


def test_blocking_sees_borders_of_eight_and_no_others():
    level = np.kron(np.random.default_rng(0).integers(40, 200, (8, 8)), np.ones((8, 8)))
    aligned = features_of(as_clip(level[None]))["blocking_mean"]
    shifted = features_of(as_clip(np.roll(level, 4, axis=(0, 1))[None]))["blocking_mean"]
    assert aligned > 20
    assert shifted < 0
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(float)
    assert features_of(as_clip(ramp[None]))["blocking_mean"] == pytest.approx(0, abs=1e-6)


def test_a_frozen_clip_has_no_deviation_over_time_and_no_differences(clip):
    frozen = features_of(np.repeat(clip[:1], 8, axis=0))
    for name in FRAME_FEATURES:
        assert frozen[f"{name}_temporal_std"] == 0, name
    assert all(frozen[name] == 0 for name in CLIP_FEATURES)
    moving = features_of(clip)
    assert all(moving[f"{name}_temporal_std"] > 0 for name in FRAME_FEATURES)
    assert all(moving[name] > 0 for name in CLIP_FEATURES)


def test_one_frozen_frame_and_one_that_comes_again_later_are_seen(clip):
    moving = noisy(np.concatenate([clip, clip + 3]), 3)
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


def test_the_facts_of_the_container_are_passed_on_and_unknown_ones_are_zero(clip):
    known = features_of(clip, bit_rate=123_456, fps=29.97, width=1920, height=1080)
    names = ("bit_rate", "frame_rate", "width", "height")
    assert [known[name] for name in names] == [123_456, 29.97, 1920, 1080]
    unknown = features_of(clip, bit_rate=None, fps=None)
    assert [unknown[name] for name in names] == [0, 0, 640, 360]


@given(
    st.integers(1, 4),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from(["black", "white", "noise", "square_wave"]),
)
def test_every_feature_of_every_clip_is_finite(time, height, width, content):
    shape = (time, 3, height, width)
    frames = {
        "black": np.zeros(shape),
        "white": np.full(shape, 255),
        "noise": np.random.default_rng(0).integers(0, 256, shape),
        "square_wave": np.broadcast_to(127.5 * (1 + signal.square(np.arange(width))), shape),
    }[content].astype(np.uint8)
    found = features_of(frames, bit_rate=None, fps=None)
    assert list(found) == FEATURE_NAMES
    assert all(type(value) is float and np.isfinite(value) for value in found.values())


def test_what_stands_in_memory_does_not_matter(clip):
    rows = np.asfortranarray(clip)
    mirrored = np.ascontiguousarray(clip[..., ::-1])[..., ::-1]
    facts = {"bit_rate": None, "fps": None, "width": 1, "height": 1}
    expected = features_of(clip, **facts)
    assert clip_features(rows, **facts) == pytest.approx(expected, rel=1e-5)
    assert clip_features(mirrored, **facts) == pytest.approx(expected, rel=1e-5)


def test_the_documentation_has_every_feature():
    told = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    facts = ("bit_rate", "frame_rate", "width", "height")
    assert [
        name for name in (*FRAME_FEATURES, *CLIP_FEATURES, *facts) if f"`{name}`" not in told
    ] == []

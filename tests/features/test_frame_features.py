"""Each feature of a frame is what SciPy or OpenCV say, and rises and falls with what it is for."""

import io
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import fft, ndimage, signal

from reelfit.features import FEATURE_NAMES, FRAME_FEATURES, FRAME_NAMES
from reelfit.features.cells import GRID, cell_means
from reelfit.features.edges import STRONG, WEAK, edge_pixels
from reelfit.features.frame import Frame

SIDES = [(427, 640), (96, 96), (83, 93), (9, 31), (8, 8), (1, 40), (40, 1), (2, 2)]


def values_of(picture):
    frame = Frame(np.ascontiguousarray(picture))
    return {
        name: value
        for group in FRAME_FEATURES.values()
        for name, value in zip(group.names, group.measure(frame), strict=True)
    }


def in_grey(levels):
    whole = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.repeat(whole[None], 3, axis=0)


def noisy(picture, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def blurred(picture, sigma):
    return ndimage.gaussian_filter(picture, sigma=(0, sigma, sigma))


def as_jpeg(picture, *, quality):
    written = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(written, "JPEG", quality=quality)
    return np.array(Image.open(written)).transpose(2, 0, 1)


@pytest.fixture(params=SIDES, ids=str)
def picture(request, photograph):
    height, width = request.param
    return photograph[:, :height, -width:]


@pytest.fixture
def levels(picture):
    return Frame(picture).levels


def test_the_names_come_once_and_in_the_order_of_the_values(photograph):
    assert list(values_of(photograph)) == FRAME_NAMES
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == 2 * 18 + 4 + 4 + 2


def test_the_luma_is_opencvs(picture, levels):
    stored = np.ascontiguousarray(picture.transpose(1, 2, 0))
    np.testing.assert_array_equal(levels, cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY))


def test_the_noise_residual_is_what_scipys_and_opencvs_median_takes_away(picture, levels):
    whole = levels.astype(int)
    residual = whole - ndimage.median_filter(whole, size=3, mode="nearest")
    np.testing.assert_array_equal(residual, whole - cv2.medianBlur(levels.copy(), 3))
    found = values_of(picture)
    assert found["noise_residual_energy"] == pytest.approx(np.mean(residual**2), rel=1e-12)
    assert found["noise_residual_mean"] == pytest.approx(np.mean(abs(residual)), rel=1e-12)
    assert found["noise_residual_std"] == pytest.approx(residual.std(), rel=1e-9, abs=1e-12)


def test_the_coefficients_are_those_of_scipys_and_opencvs_dct(picture, levels):
    height, width = levels.shape
    filled = np.pad(levels, [(0, -height % 8), (0, -width % 8)], mode="edge").astype(np.float64)
    blocks = filled.reshape(filled.shape[0] // 8, 8, -1, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    coefficients = fft.dctn(blocks, axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(cv2.dct(blocks[-1]), coefficients[-1], rtol=0, atol=1e-9)
    coefficients = coefficients.reshape(-1, 64)
    dc, ac = coefficients[:, 0], coefficients[:, 1:]
    expected = {
        "dct_dc_mean": dc.mean(),
        "dct_dc_std": dc.std(),
        "dct_ac_mean": abs(ac).mean(),
        "dct_ac_std": ac.std(),
        "dct_ac_energy": (ac**2).sum(axis=1).mean(),
    }
    found = values_of(picture)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name


def test_laplacian_and_gradient_are_those_of_scipy_and_opencv(picture, levels):
    found = values_of(picture)
    whole = levels.astype(np.float64)
    four = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    laplacian = ndimage.convolve(whole, four, mode="nearest")
    by_opencv = cv2.Laplacian(levels.copy(), cv2.CV_64F, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(laplacian, by_opencv)
    assert found["laplacian_variance"] == pytest.approx(laplacian.var(), rel=1e-9, abs=1e-9)
    slopes = [ndimage.sobel(whole, axis, mode="nearest") for axis in (0, 1)]
    across = cv2.Sobel(levels.copy(), cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(slopes[1], across)
    lengths = np.hypot(*slopes)
    assert found["gradient_mean"] == pytest.approx(lengths.mean(), rel=1e-6)
    assert found["gradient_std"] == pytest.approx(lengths.std(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("sigma", [0, 12])
def test_the_edges_are_those_of_opencvs_canny_pixel_for_pixel(picture, sigma):
    frame = Frame(noisy(picture, sigma))
    expected = cv2.Canny(frame.levels.copy(), WEAK, STRONG) > 0
    np.testing.assert_array_equal(edge_pixels(frame), expected)
    assert values_of(frame.picture)["edge_density"] == expected.mean()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 256), st.integers(0, 99))
def test_the_edges_of_any_picture_are_opencvs(height, width, most, seed):
    levels = np.random.default_rng(seed).integers(0, most, (height, width)).astype(np.uint8)
    expected = cv2.Canny(levels, WEAK, STRONG) > 0
    np.testing.assert_array_equal(edge_pixels(Frame(in_grey(levels))), expected)


def test_texture_uniformity_is_the_second_moment_of_counted_pairs(photograph):
    picture = noisy(photograph[:, 100:131, 200:237], 6)
    levels = Frame(picture).levels.astype(int) // 16
    height, width = levels.shape
    moments = []
    for down, right in ((0, 1), (1, 1), (1, 0), (1, -1)):
        counts = np.zeros((16, 16))
        for row in range(height - down):
            for column in range(max(0, -right), width - max(0, right)):
                one, other = levels[row, column], levels[row + down, column + right]
                counts[one, other] += 1
                counts[other, one] += 1
        moments.append(np.sum((counts / counts.sum()) ** 2))
    assert values_of(picture)["texture_uniformity"] == pytest.approx(np.mean(moments), rel=1e-12)


def test_pairs_over_the_seams_of_bands_are_counted_once():
    stripes = np.zeros((400, 640))
    stripes[::2] = 255  # down, only unlike rows meet; across, only like ones
    # Across (0, 0) and (255, 255) half each; in the other directions (0, 255) and (255, 0).
    assert values_of(in_grey(stripes))["texture_uniformity"] == pytest.approx(0.5, rel=1e-9)


def test_cell_means_are_opencvs_reduction_by_area(photograph):
    cut = np.ascontiguousarray(photograph[0, :416, :640])  # 26 x 40 pixels a cell
    expected = cv2.resize(cut.astype(np.float64), (GRID, GRID), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(cell_means(cut), expected, rtol=1e-9)
    assert cell_means(photograph[0, :5, :30]).shape == (5, 16)
    assert (cell_means(np.full((37, 53), 201, np.uint8)) == 201).all()


def test_colour_consistency_is_the_spread_of_the_cells_light(photograph):
    light = np.stack([cell_means(channel) for channel in photograph]) + 1
    expected = 1 - (light / light.sum(axis=0)).std(axis=(1, 2))
    found = values_of(photograph)
    names = [f"colour_consistency_{channel}" for channel in ("red", "green", "blue")]
    np.testing.assert_allclose([found[name] for name in names], expected, rtol=1e-9)


def test_compression_artefacts_are_the_spectrums_peaks_at_eighths(photograph):
    picture = as_jpeg(photograph, quality=20)
    levels = Frame(picture).levels.astype(int)
    shares = []
    for axis in (0, 1):
        steps = abs(np.diff(levels, axis=axis)).mean(axis=1 - axis)
        rough = steps[4:-3] - signal.fftconvolve(steps, np.ones(8) / 8, mode="valid")
        rough = rough[: len(rough) // 8 * 8]
        power = abs(fft.fft(rough)) ** 2
        peaks = power[:: len(rough) // 8]
        shares.append(peaks[1:].sum() / power[1:].sum())
    found = values_of(picture)["compression_artefacts"]
    assert found == pytest.approx(np.mean(shares), rel=1e-9)


def test_noise_raises_the_noise_residual_and_lowers_uniformity(photograph):
    found = [values_of(noisy(photograph, sigma)) for sigma in (0, 4, 8, 16)]
    energies = [values["noise_residual_energy"] for values in found]
    uniformities = [values["texture_uniformity"] for values in found]
    assert energies == sorted(energies)
    assert uniformities == sorted(uniformities, reverse=True)
    flat = np.full((3, 64, 64), 128, np.uint8)
    assert values_of(flat)["noise_residual_energy"] == 0
    assert values_of(flat)["texture_uniformity"] == 1
    assert 20 < values_of(noisy(flat, 10))["noise_residual_energy"] < 100


def test_blur_lowers_what_tells_sharpness(photograph):
    sharp, soft = values_of(photograph), values_of(blurred(photograph, 2))
    for name in (
        *("laplacian_variance", "gradient_mean", "noise_residual_energy", "dct_ac_energy"),
        *("edge_density",),
    ):
        assert soft[name] < 0.6 * sharp[name], name
    assert soft["texture_uniformity"] > sharp["texture_uniformity"]
    assert soft["dct_dc_mean"] == pytest.approx(sharp["dct_dc_mean"], rel=0.02)


def test_hard_compression_raises_blocking_and_compression_artefacts(photograph):
    soft = blurred(photograph, 1)
    found = [values_of(as_jpeg(soft, quality=quality)) for quality in (95, 30, 5)]
    for name, rise in (("blocking", 2), ("compression_artefacts", 0.5)):
        values = [one[name] for one in found]
        assert values == sorted(values)
        assert values[-1] > values[0] + rise, name


def test_compression_artefacts_are_seen_where_the_blocks_begin_elsewhere_too(photograph):
    """After a crop ``blocking`` looks at the wrong places."""
    spoiled = as_jpeg(blurred(photograph, 1), quality=10)
    whole, cropped = values_of(spoiled), values_of(spoiled[:, 3:, 5:])
    assert cropped["blocking"] < 0 < whole["blocking"]
    assert cropped["compression_artefacts"] > 0.9 * whole["compression_artefacts"] > 0.4
    assert values_of(photograph)["compression_artefacts"] < 0.1
    scaled = np.array(Image.fromarray(spoiled.transpose(1, 2, 0)).resize((520, 347)))
    assert values_of(scaled.transpose(2, 0, 1))["compression_artefacts"] < 0.2


def test_blocking_sees_borders_of_eight_and_no_others():
    level = np.kron(np.random.default_rng(0).integers(40, 200, (8, 8)), np.ones((8, 8)))
    assert values_of(in_grey(level))["blocking"] > 20
    assert values_of(in_grey(np.roll(level, 4, axis=(0, 1))))["blocking"] < 0
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(float)
    assert values_of(in_grey(ramp))["blocking"] == pytest.approx(0, abs=1e-6)
    assert values_of(in_grey(ramp))["compression_artefacts"] == 0


def test_another_light_on_a_part_lowers_the_consistency_of_its_channel(photograph):
    grey = in_grey(Frame(photograph).levels)
    names = [f"colour_consistency_{channel}" for channel in ("red", "green", "blue")]
    whole = values_of(grey)
    assert [whole[name] for name in names] == [1, 1, 1]
    for number, name in enumerate(names):
        lit = grey.copy()
        lit[number, 100:300, 200:400] //= 2
        found = values_of(lit)
        assert min(names, key=found.get) == name
        assert found[name] < 0.97
    darker = values_of((grey * 0.6).astype(np.uint8))  # the same light, less of it
    assert [darker[name] for name in names] == [1, 1, 1]


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["black", "white", "noise", "square_wave"]),
)
def test_every_feature_of_every_frame_is_finite(height, width, content):
    shape = (3, height, width)
    picture = {
        "black": np.zeros(shape),
        "white": np.full(shape, 255),
        "noise": np.random.default_rng(0).integers(0, 256, shape),
        "square_wave": np.broadcast_to(127.5 * (1 + signal.square(np.arange(width))), shape),
    }[content].astype(np.uint8)
    found = values_of(picture)
    assert all(type(value) is float and np.isfinite(value) for value in found.values())
    for name in ("edge_density", "texture_uniformity", "compression_artefacts"):
        assert 0 <= found[name] <= 1, name
    if content in ("black", "white"):
        assert found["edge_density"] == found["compression_artefacts"] == 0
        assert found["texture_uniformity"] == found["colour_consistency_red"] == 1
        assert found["dct_dc_std"] == found["gradient_std"] == 0


def test_what_stands_in_memory_does_not_matter(photograph):
    expected = values_of(photograph)
    as_decoded = np.ascontiguousarray(photograph.transpose(1, 2, 0)).transpose(2, 0, 1)
    mirrored = np.ascontiguousarray(photograph[..., ::-1])[..., ::-1]
    for picture in (as_decoded, mirrored):
        frame = Frame(picture)
        found = [v for group in FRAME_FEATURES.values() for v in group.measure(frame)]
        assert found == list(expected.values())


def test_the_bits_are_the_same_with_one_thread_and_with_two():
    text = (
        "import numpy as np; from reelfit.features import FRAME_FEATURES;"
        "from reelfit.features.frame import Frame;"
        "frame = Frame(np.random.default_rng(0).integers(0, 256, (3, 360, 640)).astype(np.uint8));"
        "print([group.measure(frame) for group in FRAME_FEATURES.values()])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", text],
            env=dict(subprocess.os.environ, OMP_NUM_THREADS=threads),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert told[0] == told[1] != ""


@pytest.mark.parametrize("name", FRAME_FEATURES)
def test_a_large_frame_is_measured_in_few_bytes_a_pixel(name):
    """The luma takes one, Canny's maps take two; the rest is a band's."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 1080, 1920)).astype(np.uint8)
    tracemalloc.start()
    try:
        frame = Frame(picture)
        FRAME_FEATURES[name].measure(frame)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    most = 80 if name == "edges" else 5  # noise: every third pixel is an edge, and has an index
    assert peak_bytes < most * 1080 * 1920, peak_bytes / 1080 / 1920


def test_the_documentation_names_each_column_once_and_no_other():
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    told = page.partition("\n## The models")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", told, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    columns = []
    for name in names:
        ends = ("_mean", "_temporal_std") if name in FRAME_NAMES else ("",)
        columns += [name + end for end in ends]
    assert columns == FEATURE_NAMES

"""Operations that OpenCV, Pillow or SciPy have too, on the same pixels."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import interpolate, stats

from reelfit.augment import apply_augmentation


def augmented(frames, **drawn):
    return apply_augmentation(frames, drawn)


def as_pictures(frames):
    """One array of height, width and channels per frame."""
    return list(frames.permute(0, 2, 3, 1).contiguous().numpy())


def as_frames(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def difference(first, second):
    return (first.int() - second.int()).abs()


def warped_by_opencv(frames, matrix, **how):
    """``matrix`` takes places of the clip to places of the result, about the centre."""
    height, width = frames.shape[-2:]
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    whole = centre @ matrix @ np.linalg.inv(centre)
    return as_frames(
        [
            cv2.warpAffine(
                each,
                whole[:2],
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT,
            )
            for each in as_pictures(frames)
        ]
    )


def turned(degrees):
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)  # y points down: counter-clockwise as one sees it
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def slanted(x, y):
    return np.array([[1, np.tan(np.radians(x)), 0], [np.tan(np.radians(y)), 1, 0], [0, 0, 1]])


def moved(x, y, scale):
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def assert_near(ours, theirs):
    """Places are told to 1/128 of a pixel here, to 1/32 in older versions of OpenCV."""
    away = difference(ours, theirs)
    assert away.float().mean() < 0.6
    assert away.float().quantile(0.999) <= 8


def test_a_flip_is_opencvs(clip):
    asked = as_frames([cv2.flip(each, 1) for each in as_pictures(clip)])
    assert torch.equal(augmented(clip, horizontal_flip={}), asked)


def test_a_rotation_agrees_with_opencv(clip):
    result = augmented(clip, rotation={"degrees": 17.0})
    assert_near(result, warped_by_opencv(clip, turned(17.0)))


def test_a_shear_agrees_with_opencv(clip):
    result = augmented(clip, shear={"x": 14.0, "y": -8.0})
    assert_near(result, warped_by_opencv(clip, slanted(14.0, -8.0)))


def test_a_translation_with_scale_agrees_with_opencv(clip):
    result = augmented(clip, translation_scale={"right": 0.1, "down": -0.06, "scale": 1.3})
    height, width = clip.shape[-2:]
    assert_near(result, warped_by_opencv(clip, moved(0.1 * width, -0.06 * height, 1.3)))


def test_all_that_moves_pixels_is_one_warp_with_the_product_of_the_matrices(clip):
    result = augmented(
        clip,
        rotation={"degrees": 17.0},
        shear={"x": 6.0, "y": 3.0},
        translation_scale={"right": 0.05, "down": 0.02, "scale": 0.9},
    )
    height, width = clip.shape[-2:]
    whole = moved(0.05 * width, 0.02 * height, 0.9) @ slanted(6.0, 3.0) @ turned(17.0)
    once = warped_by_opencv(clip, whole)
    assert_near(result, once)
    thrice = clip
    for name, drawn in (
        ("rotation", {"degrees": 17.0}),
        ("shear", {"x": 6.0, "y": 3.0}),
        ("translation_scale", {"right": 0.05, "down": 0.02, "scale": 0.9}),
    ):
        thrice = augmented(thrice, **{name: drawn})
    # Each interpolation more is a blur: what is asked for is nearer to one.
    assert difference(result, once).float().mean() < difference(thrice, once).float().mean() / 2


def test_an_elastic_deformation_agrees_with_opencvs_remap_by_scipys_splines(clip):
    drawn = {"share": 0.05, "seed": 77}
    height, width = clip.shape[-2:]
    controls = np.random.Generator(np.random.Philox(key=77)).integers(
        *(sign * round(0.05 * width * 65536) for sign in (-1, 1)), size=(2, 7, 7), endpoint=True
    )
    knots = np.arange(-3, 8)
    across, along = ((np.arange(side) + 0.5) * 4 / side for side in (width, height))
    rows, columns = np.meshgrid(along, across, indexing="ij")
    at = np.stack([rows, columns], -1)
    shift_x, shift_y = (
        interpolate.NdBSpline((knots, knots), each / 65536, k=3)(at) for each in controls
    )
    y, x = np.mgrid[:height, :width]
    asked = [
        cv2.remap(
            each,
            (x + shift_x).astype(np.float32),
            (y + shift_y).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        for each in as_pictures(clip)
    ]
    assert_near(augmented(clip, elastic=drawn), as_frames(asked))


@pytest.mark.parametrize("factor", [0.6, 1.3])
def test_brightness_contrast_and_saturation_agree_with_pillow(clip, factor):
    pictures = [Image.fromarray(each) for each in as_pictures(clip)]
    for name, enhancer in (
        ("brightness", ImageEnhance.Brightness),
        ("saturation", ImageEnhance.Color),
    ):
        asked = as_frames([np.array(enhancer(each).enhance(factor)) for each in pictures])
        assert difference(augmented(clip, **{name: {"factor": factor}}), asked).max() <= 2, name
    grey = Image.new("RGB", pictures[0].size, (128, 128, 128))
    asked = as_frames([np.array(Image.blend(grey, each, factor)) for each in pictures])
    assert difference(augmented(clip, contrast={"factor": factor}), asked).max() <= 1


def test_all_that_mixes_channels_is_one_product_in_numpy(clip):
    drawn = {
        "brightness": {"factor": 1.4},
        "contrast": {"factor": 0.7},
        "saturation": {"factor": 1.5},
        "hue": {"degrees": -20.0},
    }
    levels = clip.double().permute(0, 2, 3, 1).numpy() * 1.4
    levels = 127.5 + 0.7 * (levels - 127.5)
    grey = (levels @ [0.299, 0.587, 0.114])[..., None]
    levels = grey + 1.5 * (levels - grey)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    y, i, q = np.moveaxis(levels @ to_yiq.T, -1, 0)
    cosine, sine = np.cos(np.radians(-20)), np.sin(np.radians(-20))
    hued = np.stack([y, cosine * i - sine * q, sine * i + cosine * q], -1)
    asked = (hued @ np.linalg.inv(to_yiq).T).round().clip(0, 255)
    assert difference(augmented(clip, **drawn), as_frames(asked)).max() <= 1


@pytest.mark.parametrize("sigma", [0.4, 1.3, 4.0])
def test_blur_agrees_with_opencv(clip, sigma):
    side = 2 * int(np.ceil(3 * sigma)) + 1
    asked = [
        cv2.GaussianBlur(each, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
        for each in as_pictures(clip)
    ]
    assert difference(augmented(clip, blur={"sigma": sigma}), as_frames(asked)).max() <= 2


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_a_resolution_drop_agrees_with_pillow(clip, share):
    height, width = clip.shape[-2:]
    small = round(share * width), round(share * height)
    asked = [
        np.array(
            Image.fromarray(each)
            .resize(small, Image.Resampling.BILINEAR)
            .resize((width, height), Image.Resampling.BILINEAR)
        )
        for each in as_pictures(clip)
    ]
    away = difference(augmented(clip, resolution_drop={"share": share}), as_frames(asked))
    assert away.max() <= 2
    assert away.float().mean() < 0.35  # Pillow rounds to levels between rows and columns


def test_noise_is_normal_to_kolmogorov_and_smirnov():
    grey = torch.full((4, 3, 128, 128), 128, dtype=torch.uint8)
    noise = augmented(grey, noise={"sigma": 20.0, "seed": 11}).double() - 128
    spread = np.random.default_rng(0).uniform(-0.5, 0.5, noise.numel())  # levels are whole
    found = stats.kstest((noise.flatten().numpy() + spread) / 20, "norm")
    assert found.pvalue > 0.01
    assert abs(stats.kurtosis(noise.flatten().numpy())) < 0.05
    skewed = stats.kstest((noise.flatten().numpy() + 0.5 + spread) / 20, "norm")
    assert skewed.pvalue < 0.01  # half a level away would be seen


@pytest.mark.parametrize("quality", [20, 60, 90])
def test_recompression_agrees_with_opencvs_jpeg(clip, quality):
    result = augmented(clip, recompression={"quality": quality})
    for picture, ours in zip(as_pictures(clip), as_pictures(result), strict=True):
        _, coded = cv2.imencode(
            ".jpg",
            cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
            [
                *(cv2.IMWRITE_JPEG_QUALITY, quality),
                *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
            ],
        )
        theirs = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        # Of luma: OpenCV smooths enlarged chroma.
        lumas = [
            cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb)[..., 0] for each in (ours, theirs, picture)
        ]
        ours_away, loss = (
            np.abs(lumas[1].astype(int) - each.astype(int)).mean() for each in (lumas[0], lumas[2])
        )
        assert ours_away < 0.35 * loss + 0.3


def test_recompression_at_full_quality_keeps_grey_as_opencv_converts_it(clip):
    grey = np.stack([cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in as_pictures(clip)])
    frames = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1)
    assert difference(augmented(frames, recompression={"quality": 100}), frames).max() <= 1


def test_written_by_pillow_at_the_same_quality_a_recompressed_frame_loses_little_more(clip):
    result = augmented(clip, recompression={"quality": 60})
    for before, picture in zip(as_pictures(clip), as_pictures(result), strict=True):
        written = []
        for each in (before, picture):
            file = io.BytesIO()
            Image.fromarray(each).save(file, "JPEG", quality=60, subsampling=2)
            again = np.array(Image.open(file)).astype(int)
            written.append(np.abs(again - each).mean())
        assert written[1] < 0.5 * written[0]

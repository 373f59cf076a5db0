import colorsys
import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from reelfit.augment import AUGMENTATIONS, apply_augmentation
from reelfit.data.seeds import clip_generator

DRAWN = {
    "horizontal_flip": {},
    "rotation": {"degrees": 13.0},
    "shear": {"x": 9.0, "y": -6.0},
    "translation_scale": {"right": 0.07, "down": -0.05, "scale": 1.1},
    "elastic": {"share": 0.05, "seed": 2**62 + 3},
    "brightness": {"factor": 1.2},
    "contrast": {"factor": 0.8},
    "saturation": {"factor": 0.5},
    "hue": {"degrees": 25.0},
    "blur": {"sigma": 1.3},
    "resolution_drop": {"share": 0.45},
    "noise": {"sigma": 8.0, "seed": 2**62 + 1},
    "cutout": {"side": 0.3, "x": 0.4, "y": 0.9},
    "recompression": {"quality": 40},
    "video_recompression": {"crf": 35},
    "temporal_drop": {"indices": [0, 0, 2, 3, 3]},
    "temporal_duplicate": {"indices": [0, 1, 1, 2, 3]},
    "temporal_reverse": {},
    "temporal_speed": {"indices": [0, 0, 2, 4, 4]},
}
# A video codec predicts frames from each other.
OF_PICTURES = [name for name in DRAWN if not name.startswith(("temporal", "video"))]


def augmented(frames, **drawn):
    return apply_augmentation(frames, drawn)


def difference(first, second):
    return (first.int() - second.int()).abs()


def digest_of_all(frames):
    whole = hashlib.sha256()
    for name, drawn in DRAWN.items():
        whole.update(apply_augmentation(frames, {name: drawn}).numpy().tobytes())
    return whole.hexdigest()


def test_every_augmentation_has_its_example_here_and_changes_the_clip(clip):
    assert list(DRAWN) == list(AUGMENTATIONS)
    for name, drawn in DRAWN.items():
        assert difference(apply_augmentation(clip, {name: drawn}), clip).float().mean() > 0.5, name


@pytest.mark.parametrize("name", [name for name in OF_PICTURES if name != "noise"])
def test_a_static_clip_stays_static(clip, name):
    static = clip[:1].expand(4, -1, -1, -1)
    result = apply_augmentation(static, {name: DRAWN[name]})
    assert all(torch.equal(frame, result[0]) for frame in result)


@pytest.mark.parametrize("name", OF_PICTURES)
def test_the_first_frame_does_not_depend_on_those_after_it(clip, name):
    together = apply_augmentation(clip, {name: DRAWN[name]})
    alone = apply_augmentation(clip[:1], {name: DRAWN[name]})
    assert torch.equal(alone[0], together[0])


def test_threads_do_not_change_the_bits(clip):
    large = clip.repeat(1, 1, 3, 3)
    threads = torch.get_num_threads()
    try:
        digests = {torch.set_num_threads(count) or digest_of_all(large) for count in (1, 2, 5)}
    finally:
        torch.set_num_threads(threads)
    assert len(digests) == 1


def test_another_vector_unit_does_not_change_the_bits(clip, tmp_path):
    np.save(tmp_path / "clip.npy", clip.numpy())
    (tmp_path / "drawn.json").write_text(json.dumps(DRAWN))
    program = (
        "import hashlib, json, numpy, torch; from reelfit.augment import apply_augmentation\n"
        "clip, whole = torch.from_numpy(numpy.load('clip.npy')), hashlib.sha256()\n"
        "for name, drawn in json.load(open('drawn.json')).items():\n"
        "    whole.update(apply_augmentation(clip, {name: drawn}).numpy().tobytes())\n"
        "print(torch.backends.cpu.get_cpu_capability(), whole.hexdigest())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    capability, digest = told.stdout.split()
    assert capability in ("DEFAULT", "NO")
    assert digest == digest_of_all(clip)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_gpu_gives_the_same_bits(clip):
    for name, drawn in DRAWN.items():
        there = apply_augmentation(clip.cuda(), {name: drawn})
        assert there.is_cuda
        assert torch.equal(there.cpu(), apply_augmentation(clip, {name: drawn})), name


def test_a_flip_mirrors_and_twice_is_the_clip_itself(clip):
    once = augmented(clip, horizontal_flip={})
    assert torch.equal(once[2, 1, 5, 0], clip[2, 1, 5, -1])
    assert torch.equal(augmented(once, horizontal_flip={}), clip)


def test_a_warp_by_nothing_is_the_clip_itself(clip):
    assert torch.equal(augmented(clip, rotation={"degrees": 0.0}), clip)
    still = {"right": 0.0, "down": 0.0, "scale": 1.0}
    assert torch.equal(augmented(clip, translation_scale=still), clip)


def test_a_quarter_turn_is_exact_and_counter_clockwise(clip):
    square = clip[..., :64, :64]
    turned = augmented(square, rotation={"degrees": 90.0})
    assert torch.equal(turned, torch.rot90(square, 1, (2, 3)))


def test_rotation_agrees_with_scipy(clip):
    turned = augmented(clip, rotation={"degrees": 13.0})
    asked = ndimage.rotate(
        clip.double().numpy(), 13.0, axes=(3, 2), reshape=False, order=1, mode="reflect"
    )
    away = difference(turned, torch.from_numpy(asked).round())
    assert away.max() <= 3  # a place is told to 1/128 of a pixel
    assert away.float().mean() < 0.3


def test_translation_moves_right_and_down_by_shares_of_the_sides(clip):
    frames = clip[..., :80, :64]
    moved = augmented(frames, translation_scale={"right": 2 / 64, "down": 0.1, "scale": 1.0})
    assert torch.equal(moved[..., 8:, 2:], frames[..., :-8, :-2])
    assert torch.equal(moved[..., 8:, :2], frames[..., :-8, :2].flip(-1))


def test_scale_enlarges_about_the_centre(clip):
    frames = clip[..., :64, :64]
    half = frames.double().numpy()
    grown = augmented(frames, translation_scale={"right": 0.0, "down": 0.0, "scale": 2.0})
    places = (np.arange(64) - 31.5) / 2 + 31.5
    rows, columns = np.meshgrid(places, places, indexing="ij")
    asked = ndimage.map_coordinates(half[1, 2], [rows, columns], order=1)
    assert difference(grown[1, 2], torch.from_numpy(asked).round()).max() <= 1


def test_brightness_and_contrast_have_the_values_worked_out_by_hand():
    levels = torch.tensor([0, 50, 100, 200, 255], dtype=torch.uint8).expand(1, 3, 2, 5)
    bright = augmented(levels, brightness={"factor": 1.5})
    assert bright[0, 0, 0].tolist() == [0, 75, 150, 255, 255]
    flat = augmented(levels, contrast={"factor": 0.5})
    assert flat[0, 0, 0].tolist() == [64, 89, 114, 164, 191]
    assert set(augmented(levels, contrast={"factor": 0.0}).flatten().tolist()) == {128}


def test_saturation_zero_is_the_luma_and_one_the_clip_itself(clip):
    grey = augmented(clip, saturation={"factor": 0.0})
    luma = (clip.double() * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]).sum(1)
    assert all(difference(grey[:, channel], luma.round()).max() <= 1 for channel in range(3))
    assert torch.equal(augmented(clip, saturation={"factor": 1.0}), clip)


def test_hue_agrees_with_colorsys_and_leaves_grey_alone():
    colours = [(180, 90, 60), (60, 140, 120), (90, 80, 150), (120, 120, 120), (255, 255, 255)]
    pixels = torch.tensor(colours, dtype=torch.uint8).T.reshape(1, 3, 1, 5)
    turned = augmented(pixels, hue={"degrees": 30.0})[0, :, 0].T
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    for colour, result in zip(colours, turned, strict=True):
        y, i, q = colorsys.rgb_to_yiq(*(level / 255 for level in colour))
        asked = colorsys.yiq_to_rgb(y, cosine * i - sine * q, sine * i + cosine * q)
        assert np.abs(result.numpy() - 255 * np.array(asked)).max() < 3  # its matrix is coarser
    assert turned[3:].tolist() == [[120] * 3, [255] * 3]
    once = augmented(pixels, hue={"degrees": 30.0})
    assert difference(augmented(once, hue={"degrees": -30.0}), pixels).max() <= 2


@pytest.mark.parametrize("sigma", [0.01, 0.7, 2.5, 10.0])
def test_blur_agrees_with_scipy(clip, sigma):
    asked = ndimage.gaussian_filter(
        clip.double().numpy(), sigma, axes=(2, 3), mode="reflect", radius=int(np.ceil(3 * sigma))
    )
    blurred = augmented(clip, blur={"sigma": sigma})
    assert difference(blurred, torch.from_numpy(asked).round()).max() <= 1


def test_noise_is_gaussian_and_fresh_for_each_frame_and_channel():
    grey = torch.full((6, 3, 64, 64), 128, dtype=torch.uint8)
    noise = augmented(grey, noise={"sigma": 12.0, "seed": 5}).double() - 128
    assert abs(noise.mean()) < 0.2
    assert abs(noise.std() - 12) < 0.2
    assert abs((noise.abs() < 12).double().mean() - 0.6827) < 0.02
    planes = noise.reshape(18, -1)
    assert (torch.corrcoef(planes) - torch.eye(18)).abs().max() < 0.07
    other = augmented(grey, noise={"sigma": 12.0, "seed": 6}).double() - 128
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1]) < 0.02


def test_cutout_is_one_grey_square_and_the_rest_stays(clip):
    cut = augmented(clip, cutout={"side": 0.2, "x": 0.5, "y": 0.5})
    changed = (cut != clip).any(1).any(0)
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert 13 <= rows.max() - rows.min() + 1 <= 15
    assert 13 <= columns.max() - columns.min() + 1 <= 15
    assert set(cut[:, :, changed].flatten().tolist()) == {128}


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_recompression_agrees_with_libjpeg(clip, quality):
    result = augmented(clip, recompression={"quality": quality})
    for frame, ours in zip(clip, result, strict=True):
        written = io.BytesIO()
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(
            written, "JPEG", quality=quality, subsampling=2
        )
        theirs = torch.from_numpy(np.array(Image.open(written))).permute(2, 0, 1)
        loss = difference(theirs, frame).double().mean()
        assert (
            difference(ours, theirs).double().mean() < 0.6 * loss
        )  # libjpeg smooths enlarged chroma
        assert abs(difference(ours, frame).double().mean() / loss - 1) < 0.15


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_the_loss_of_luma_agrees_with_libjpeg_but_for_its_rounding(clip, quality):
    grey = clip[:, 1:2].expand(-1, 3, -1, -1)
    result = augmented(grey, recompression={"quality": quality})
    for frame, ours in zip(grey[:, 0], result[:, 0], strict=True):
        written = io.BytesIO()
        Image.fromarray(frame.contiguous().numpy()).save(written, "JPEG", quality=quality)
        theirs = torch.from_numpy(np.array(Image.open(written)))
        assert difference(ours, theirs).double().mean() < 0.5
        losses = [difference(each, frame).double().mean() for each in (ours, theirs)]
        assert abs(losses[0] / losses[1] - 1) < 0.02


def test_temporal_augmentations_show_frames_of_the_clip(clip):
    dropped = augmented(clip, temporal_drop={"indices": [0, 0, 2, 3, 3]})
    assert torch.equal(dropped[1], clip[0])
    assert torch.equal(dropped[4], clip[3])
    assert torch.equal(augmented(clip, temporal_reverse={}), clip.flip(0))
    with pytest.raises(ValueError, match="drawn for a clip of 2 frames, this one has 5"):
        augmented(clip, temporal_drop={"indices": [0, 0]})


def test_a_drop_keeps_places_and_a_duplicate_delays():
    for copy in range(50):
        generator = clip_generator(0, "ab", copy)
        for name in ("temporal_drop", "temporal_duplicate"):
            drawn = AUGMENTATIONS[name].draw(generator, strength=0.3, num_frames=10)["indices"]
            assert len(drawn) == 10
            assert drawn == sorted(drawn)
            assert 7 <= len(set(drawn)) <= 9
            if name == "temporal_drop":
                assert sum(index == place for place, index in enumerate(drawn)) >= 7
            else:
                assert set(np.diff(drawn)) == {0, 1}

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from reelfit.augment import AUGMENTATIONS, apply_augmentation
from reelfit.augment.augmentation import Places
from reelfit.data.seeds import clip_generator

IDENTITY = {
    "rotation": {"degrees": 0.0},
    "shear": {"x": 0.0, "y": 0.0},
    "translation_scale": {"right": 0.0, "down": 0.0, "scale": 1.0},
    "elastic": {"share": 0.0, "seed": 3},
    "brightness": {"factor": 1.0},
    "contrast": {"factor": 1.0},
    "saturation": {"factor": 1.0},
    "hue": {"degrees": 0.0},
    "resolution_drop": {"share": 1.0},
    "noise": {"sigma": 0.0, "seed": 3},
    "temporal_drop": {"indices": [0, 1, 2, 3, 4]},
    "temporal_duplicate": {"indices": [0, 1, 2, 3, 4]},
    "temporal_speed": {"indices": [0, 1, 2, 3, 4]},
}


def augmented(frames, **drawn):
    return apply_augmentation(frames, drawn)


def loss(first, second):
    return float((first.double() - second.double()).abs().mean())


def displacements(drawn, *, height, width):
    """Right and down, in pixels, of every pixel."""
    still = torch.zeros(height, width, dtype=torch.int64)
    moved = AUGMENTATIONS["elastic"].sources(Places(still, still), drawn)
    return torch.stack([moved.x, moved.y]).double() / 65536


@pytest.mark.parametrize("name", IDENTITY)
def test_parameters_that_change_nothing_leave_the_clip_as_it_is(clip, name):
    assert torch.equal(augmented(clip, **{name: IDENTITY[name]}), clip)


def test_all_that_change_nothing_together_leave_the_clip_as_it_is(clip):
    assert torch.equal(apply_augmentation(clip, IDENTITY), clip)


@pytest.mark.parametrize(
    "name", [*sorted(IDENTITY.keys() - {"temporal_drop", "temporal_duplicate"}), "blur"]
)
def test_a_strength_near_zero_changes_next_to_nothing(clip, name):
    augmentation = AUGMENTATIONS[name]
    drawn = augmentation.draw(clip_generator(1, "ab", 1), strength=1e-6, num_frames=len(clip))
    assert loss(augmented(clip, **{name: drawn}), clip) < 0.01


def test_an_elastic_field_is_smooth_moves_at_most_its_share_and_folds_nothing():
    for seed in range(40):
        drawn = {"share": 0.06, "seed": seed}
        field = displacements(drawn, height=90, width=140)
        assert 0.01 * 90 < field.abs().max() <= 0.06 * 90
        down, right = torch.gradient(field, dim=(1, 2))
        folded = (1 + right[0]) * (1 + down[1]) - right[1] * down[0]
        assert folded.min() > 0
        bends = torch.stack(
            [each.diff(n=2, dim=axis).abs().max() for each in field for axis in (0, 1)]
        )
        assert bends.max() < 0.06  # pixels a pixel and pixel; noise of this size has 20


def test_an_elastic_deformation_does_something_everywhere_and_differs_by_seed(clip):
    first, second = (augmented(clip, elastic={"share": 0.05, "seed": seed}) for seed in (1, 2))
    assert loss(first, second) > 2
    for part in (first - clip).split(30, -1):
        assert (part != 0).double().mean() > 0.3
    field = displacements({"share": 0.05, "seed": 1}, height=91, width=75)
    assert (field.norm(dim=0) > 0.2).double().mean() > 0.8


def test_a_smaller_share_is_the_same_field_made_weaker():
    whole, half = (
        displacements({"share": s, "seed": 9}, height=64, width=64) for s in (0.06, 0.03)
    )
    assert torch.corrcoef(torch.stack([whole.flatten(), half.flatten()]))[0, 1] > 0.999
    assert abs(whole.norm() / half.norm() - 2) < 0.01


def test_a_shear_leans_upright_lines_to_the_left_and_lets_level_ones_fall():
    frames = torch.zeros(1, 3, 65, 65, dtype=torch.uint8)
    frames[..., 32] = 255
    leaning = augmented(frames, shear={"x": 20.0, "y": 0.0})[0, 0]
    top, bottom = (int(leaning[row].argmax()) for row in (8, 56))
    assert abs(top - (32 - 24 * np.tan(np.radians(20)))) < 1
    assert abs(bottom - (32 + 24 * np.tan(np.radians(20)))) < 1
    falling = augmented(frames.transpose(2, 3).contiguous(), shear={"x": 0.0, "y": 20.0})[0, 0]
    assert int(falling[:, 8].argmax()) < 32 < int(falling[:, 56].argmax())


def test_colours_that_go_too_far_and_come_back_lose_nothing(clip):
    there_and_back = augmented(clip, brightness={"factor": 2.0}, saturation={"factor": 1.0})
    assert (there_and_back == 255).double().mean() > 0.05
    bright_then_flat = augmented(clip, brightness={"factor": 2.0}, contrast={"factor": 0.5})
    assert torch.equal(bright_then_flat, (clip.int() + 64).clamp(max=255).to(torch.uint8))


def test_a_resolution_drop_takes_detail_away_and_no_more_than_that(clip):
    losses = [
        loss(augmented(clip, resolution_drop={"share": share}), clip) for share in (0.9, 0.5, 0.1)
    ]
    assert losses == sorted(losses)
    one = augmented(clip, resolution_drop={"share": 0.001})
    assert all(len(plane.unique()) == 1 for plane in one.flatten(0, 1))
    flat = torch.full((2, 3, 33, 21), 201, dtype=torch.uint8)
    assert torch.equal(augmented(flat, resolution_drop={"share": 0.37}), flat)


def test_speed_keeps_the_middle_and_holds_the_ends_still_where_frames_are_missing():
    speed, fast, slow = AUGMENTATIONS["temporal_speed"], 0, 0
    for copy in range(60):
        drawn = speed.draw(clip_generator(0, "ab", copy), strength=3.0, num_frames=9)["indices"]
        assert drawn == sorted(drawn)
        assert drawn[4] == 4
        assert drawn == [8 - index for index in reversed(drawn)]
        steps = np.diff(drawn)
        if drawn.count(0) > 1:  # faster: nothing stands before the first frame
            assert drawn.count(0) == drawn.count(8)
            fast += int(steps.max() >= 2)
        elif drawn[0] > 0:
            assert steps.max() <= 1
            slow += 1
    assert fast > 10
    assert slow > 10


def test_the_loss_of_h264_grows_with_its_rate_factor(clip):
    losses = [
        loss(augmented(clip, video_recompression={"crf": crf}), clip) for crf in (0, 18, 28, 40, 51)
    ]
    assert losses == sorted(losses)
    assert losses[1] < 1.5 * losses[0]  # most of it is chroma at half size, at any factor
    assert losses[-1] > 3 * losses[0]


def test_h264_predicts_frames_from_each_other_and_still_shows_each_at_its_place(clip):
    result = augmented(clip, video_recompression={"crf": 30})
    for place, frame in enumerate(result):
        nearest = min(range(len(clip)), key=lambda other: loss(frame, clip[other]))
        assert nearest == place
    alone = augmented(clip[:1], video_recompression={"crf": 30})
    assert loss(alone[0], clip[0]) < loss(clip[1], clip[0])


def test_h264_gives_the_same_bits_in_other_processes(clip, tmp_path):
    np.save(tmp_path / "clip.npy", clip.numpy())
    program = (
        "import hashlib, numpy, torch; from reelfit.augment import apply_augmentation\n"
        "clip = torch.from_numpy(numpy.load('clip.npy'))\n"
        "out = apply_augmentation(clip, {'video_recompression': {'crf': 23}})\n"
        "print(hashlib.sha256(out.numpy().tobytes()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(told) == 1

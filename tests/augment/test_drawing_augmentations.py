import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reelfit.augment import (
    AUGMENTATIONS,
    PRESETS,
    apply_augmentation,
    check_strengths,
    draw_augmentation,
)
from reelfit.data.seeds import clip_generator
from reelfit.errors import StudyError

EVERYTHING = {name: min(each.max_strength, 30) for name, each in AUGMENTATIONS.items()}


def draw(strengths, *, copy=1, num_frames=5):
    generator = clip_generator(7, "ab", copy)
    return draw_augmentation(strengths, generator=generator, num_frames=num_frames)


def test_the_same_generator_gives_the_same_bits(clip):
    for copy in range(1, 6):
        once, again = (draw(PRESETS["standard"], copy=copy) for _ in range(2))
        assert once == again
        assert torch.equal(apply_augmentation(clip, once), apply_augmentation(clip, again))
    assert draw(PRESETS["standard"], copy=1) != draw(PRESETS["standard"], copy=2)


def test_what_is_drawn_survives_json_in_any_order(clip):
    for copy in range(1, 9):
        drawn = draw(EVERYTHING, copy=copy)
        read = json.loads(json.dumps(drawn, sort_keys=True))
        assert read == drawn
        assert list(drawn) == [name for name in AUGMENTATIONS if name in drawn]
        assert torch.equal(apply_augmentation(clip, read), apply_augmentation(clip, drawn))


def test_to_change_one_strength_leaves_the_other_augmentations_as_they_were():
    for copy in range(20):
        before, after = (
            draw({**PRESETS["standard"], "rotation": degrees}, copy=copy) for degrees in (0, 45)
        )
        after.pop("rotation", None)
        assert before == after


def test_no_global_generator_is_touched():
    """In a process of its own: the checks of types in this one draw from Python's generator."""
    program = (
        "import random, numpy, torch\n"
        "from reelfit.augment import AUGMENTATIONS, apply_augmentation, draw_augmentation\n"
        "from reelfit.data.seeds import clip_generator\n"
        "def states():\n"
        "    of_torch = torch.get_rng_state().tolist()\n"
        "    return random.getstate(), str(numpy.random.get_state()), of_torch\n"
        "clip, before, seen = torch.zeros(5, 3, 16, 16, dtype=torch.uint8), states(), set()\n"
        "strengths = {name: each.max_strength for name, each in AUGMENTATIONS.items()}\n"
        "for copy in range(30):\n"
        "    generator = clip_generator(7, 'ab', copy)\n"
        "    drawn = draw_augmentation(strengths, generator=generator, num_frames=5)\n"
        "    apply_augmentation(clip, drawn)\n"
        "    seen |= drawn.keys()\n"
        "print(states() == before, seen == AUGMENTATIONS.keys())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["True", "True"]


@given(
    st.sampled_from(sorted(AUGMENTATIONS)),
    st.floats(0.001, 1),
    st.integers(1, 6),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_every_strength_and_size_gives_a_clip_of_the_same_shape(
    name, share, num_frames, height, width
):
    augmentation = AUGMENTATIONS[name]
    frames = torch.arange(num_frames * 3 * height * width).reshape(num_frames, 3, height, width)
    frames = frames.remainder(251).to(torch.uint8)
    before = frames.clone()
    strength = share * augmentation.max_strength
    drawn = augmentation.draw(clip_generator(7, "ab", 1), strength=strength, num_frames=num_frames)
    augmented = apply_augmentation(frames, {name: drawn})
    assert augmented.shape == frames.shape
    assert augmented.dtype == torch.uint8
    assert augmented.is_contiguous()
    assert torch.equal(frames, before)


def test_each_augmentation_is_applied_to_its_share_of_clips():
    drawn = [draw({**EVERYTHING, "horizontal_flip": 0.2}, copy=copy) for copy in range(500)]
    for name, augmentation in AUGMENTATIONS.items():
        share = augmentation.probability or EVERYTHING[name]
        share = 0.2 if name == "horizontal_flip" else share
        assert abs(sum(name in each for each in drawn) / 500 - share) < 0.07, name


def test_nothing_is_drawn_where_nothing_is_asked():
    assert check_strengths("none") == {}
    assert check_strengths({"blur": 0}) == {}
    assert all(draw({}, copy=copy) == {} for copy in range(10))


def test_presets_keep_their_own_rules():
    for name, strengths in PRESETS.items():
        assert check_strengths(strengths) == check_strengths(name) == strengths
        assert list(strengths) == [each for each in AUGMENTATIONS if each in strengths]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("standart", "'standart' is not a preset of augmentations; did you mean standard?"),
        ({"rotatoin": 5}, "'rotatoin' is not an augmentation; did you mean rotation?"),
        ({"rotation": 181}, "augmentation rotation: a strength of 181 is out of range"),
        ({"blur": -0.1}, "give one from 0 to 10"),
        ({"noise": float("nan")}, "noise: a strength of nan is out of range"),
    ],
)
def test_a_wrong_request_is_told_with_what_to_do(asked, message):
    with pytest.raises(StudyError) as error:
        check_strengths(asked)
    assert message in str(error.value)


def test_parameters_of_an_unknown_augmentation_are_the_callers_bug(clip):
    with pytest.raises(ValueError, match="no augmentation has the name wobble"):
        apply_augmentation(clip, {"wobble": {}})

"""The table of augmentations, their presets, and how a clip gets a copy.

Nothing here draws from a global generator, and what is drawn is all that applying needs.
"""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import groupby
from typing import Any

import numpy as np

from reelfit.augment.augmentation import (
    Augmentation,
    ClipAugmentation,
    ColourAugmentation,
    Frames,
    GeometricAugmentation,
)
from reelfit.augment.blur import Blur
from reelfit.augment.colour import Brightness, Contrast, Hue, Saturation, recolour
from reelfit.augment.cutout import Cutout
from reelfit.augment.elastic import Elastic
from reelfit.augment.geometry import HorizontalFlip, Rotation, Shear, TranslationScale
from reelfit.augment.noise import Noise
from reelfit.augment.recompression import Recompression
from reelfit.augment.resolution import ResolutionDrop
from reelfit.augment.temporal import (
    TemporalDrop,
    TemporalDuplicate,
    TemporalReverse,
    TemporalSpeed,
)
from reelfit.augment.video_recompression import VideoRecompression
from reelfit.augment.warp import warp
from reelfit.data.seeds import generator_for
from reelfit.errors import StudyError

AUGMENTATIONS: dict[str, Augmentation] = {
    "horizontal_flip": HorizontalFlip(),
    "rotation": Rotation(),
    "shear": Shear(),
    "translation_scale": TranslationScale(),
    "elastic": Elastic(),
    "brightness": Brightness(),
    "contrast": Contrast(),
    "saturation": Saturation(),
    "hue": Hue(),
    "blur": Blur(),
    "resolution_drop": ResolutionDrop(),
    "noise": Noise(),
    "cutout": Cutout(),
    "recompression": Recompression(),
    "video_recompression": VideoRecompression(),
    "temporal_drop": TemporalDrop(),
    "temporal_duplicate": TemporalDuplicate(),
    "temporal_reverse": TemporalReverse(),
    "temporal_speed": TemporalSpeed(),
}
"""By name, in the order in which they are applied."""

PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {
        "horizontal_flip": 0.5,
        "translation_scale": 0.05,
        "brightness": 0.1,
        "contrast": 0.1,
    },
    # Time stays as it is: a repeated frame is itself a forgery, and backwards another action.
    "standard": {
        "horizontal_flip": 0.5,
        "rotation": 10.0,
        "translation_scale": 0.1,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
        "hue": 18.0,
        "blur": 1.0,
        "noise": 8.0,
        "cutout": 0.25,
        "recompression": 50.0,
    },
    # Source: the ranges of E. Cubuk et al., RandAugment (2020), where it has the operation.
    "strong": {
        "horizontal_flip": 0.5,
        "rotation": 30.0,
        "shear": 16.7,
        "translation_scale": 0.3,
        "elastic": 0.03,
        "brightness": 0.9,
        "contrast": 0.9,
        "saturation": 0.9,
        "hue": 36.0,
        "blur": 2.0,
        "resolution_drop": 0.5,
        "noise": 16.0,
        "cutout": 0.5,
        "recompression": 70.0,
    },
    # What a forged video meets on its way, and nothing that bends it as a forgery does. Source:
    # the ranges of Z. Yan et al., DeepfakeBench (2023), and the rates of FaceForensics++ (2019).
    "forgery": {
        "horizontal_flip": 0.5,
        "rotation": 10.0,
        "brightness": 0.1,
        "contrast": 0.1,
        "blur": 1.4,
        "resolution_drop": 0.5,
        "noise": 4.0,
        "recompression": 60.0,
        "video_recompression": 40.0,
    },
}
"""By name: the strength of each augmentation, in the unit of its docstring."""


def check_strengths(asked: str | Mapping[str, float | int]) -> dict[str, float]:
    """The strengths of a preset, or the ones given, in the order of the table, without zeros.

    Raises:
        StudyError: an unknown name, or a strength out of its range.
    """
    if isinstance(asked, str):
        _check_name(asked, list(PRESETS), what="a preset of augmentations")
        return dict(PRESETS[asked])
    for name, strength in asked.items():
        _check_name(name, list(AUGMENTATIONS), what="an augmentation")
        most = AUGMENTATIONS[name].max_strength
        if not math.isfinite(strength) or not 0 <= strength <= most:
            raise StudyError(
                f"augmentation {name}: a strength of {strength} is out of range; "
                f"give one from 0 to {most:g}"
            )
    return {name: float(asked[name]) for name in AUGMENTATIONS if asked.get(name)}


def draw_augmentation(
    strengths: Mapping[str, float | int], *, generator: np.random.Generator, num_frames: int
) -> dict[str, Any]:
    """What one copy of a clip gets, as a JSON object: the parameters by augmentation.

    Each augmentation draws from a generator of its own, so that to change the strength of one
    leaves the others as they were.

    Raises:
        StudyError: an unknown name, or a strength out of its range.
    """
    copy_seed = int(generator.integers(2**63))
    drawn = {}
    for name, strength in check_strengths(strengths).items():
        augmentation = AUGMENTATIONS[name]
        own = generator_for(copy_seed, "augmentation", name)
        share = strength if augmentation.probability is None else augmentation.probability
        if own.random() < share:
            drawn[name] = augmentation.draw(own, strength=strength, num_frames=num_frames)
    return drawn


def apply_augmentation(frames: Frames, drawn: Mapping[str, Any]) -> Frames:
    """The clip with all that was drawn, in the order of the table, on the device of ``frames``.

    Memory: about 8 times the clip for a moment (noise: random bits, and places in a table).
    """
    if unknown := drawn.keys() - AUGMENTATIONS.keys():
        raise ValueError(f"no augmentation has the name {', '.join(sorted(unknown))}")
    asked = [(each, drawn[name]) for name, each in AUGMENTATIONS.items() if name in drawn]
    for _, run in groupby(asked, key=lambda pair: type(pair[0]).__base__):
        frames = _apply_run(frames, list(run))
    return frames


def _apply_run(frames: Frames, run: list[tuple[Augmentation, Mapping[str, Any]]]) -> Frames:
    """All of one kind: what moves pixels is one warp, what mixes channels is one matrix."""
    moves = [(each, how) for each, how in run if isinstance(each, GeometricAugmentation)]
    if moves:
        return warp(frames, moves)
    matrices = [each.matrix(how) for each, how in run if isinstance(each, ColourAugmentation)]
    if matrices:
        return recolour(frames, matrices)
    for each, how in run:
        assert isinstance(each, ClipAugmentation)
        frames = each.apply(frames, how)
    return frames


def _check_name(name: str, known: list[str], *, what: str) -> None:
    if name not in known:
        nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise StudyError(
            f"{name!r} is not {what}; did you mean {nearest}? There are: {', '.join(known)}"
        )

"""Scenes cut from the two photographs that come with scikit-learn."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8
from typing_extensions import override

from reelfit.data.seeds import generator_for
from reelfit.demo.camera import film
from reelfit.demo.source import Frames, Picture, Source


@dataclass(frozen=True)
class Format:
    """How a clip is recorded."""

    width: int
    height: int
    fps: Fraction
    num_frames: int


FORMATS = (
    Format(320, 240, Fraction(15), 60),
    Format(320, 180, Fraction(30000, 1001), 90),
    Format(352, 288, Fraction(25), 76),
    Format(384, 216, Fraction(24), 96),
    Format(400, 300, Fraction(12), 72),
    Format(426, 240, Fraction(25), 100),
    Format(480, 270, Fraction(12), 96),
    Format(480, 360, Fraction(15), 48),
    Format(512, 288, Fraction(24), 60),
    Format(640, 360, Fraction(12), 48),
    Format(854, 480, Fraction(12), 24),
    Format(1280, 720, Fraction(12), 24),
)
"""2 to 8 seconds; the larger a picture, the fewer of them: each costs about the same time."""


@final
@dataclass(frozen=True)
class Scene(Source):
    """A part of a photograph, recoloured, perhaps mirrored, and filmed by hand."""

    picture: Picture
    recording: Format
    fps: Fraction
    seed: int
    source_id: str

    @override
    def film(self) -> Frames:
        """The pristine clip, the same at every call."""
        return self._film("film", self.recording.width, self.recording.height)

    @override
    def lend(self, *, longest_side: int) -> Frames:
        """Another take of the scene, smaller."""
        scale = longest_side / max(self.recording.width, self.recording.height)
        width, height = (
            2 * round(side * scale / 2) for side in (self.recording.width, self.recording.height)
        )
        return self._film("lend", width, height)

    def _film(self, purpose: str, width: int, height: int) -> Frames:
        return film(
            self.picture,
            width=width,
            height=height,
            num_frames=self.recording.num_frames,
            fps=self.fps,
            generator=generator_for(self.seed, f"demo {purpose}", self.source_id),
        )


def cut_scenes(count: int, *, seed: int) -> list[Scene]:
    """``count`` scenes from both photographs in turn, each with a format of its own."""
    from sklearn.datasets import load_sample_images

    loaded = load_sample_images()
    names = [Path(name).stem for name in loaded.filenames]
    formats: list[Format] = []
    while len(formats) < count:
        order = generator_for(seed, "demo formats", len(formats)).permutation(len(FORMATS))
        formats += [FORMATS[place] for place in order]
    return [
        Scene(
            picture=_cut(
                loaded.images[number % len(names)], generator_for(seed, "demo scene", number)
            ),
            recording=formats[number],
            fps=formats[number].fps,
            seed=seed,
            source_id=f"{names[number % len(names)]}_{number + 1:02}",
        )
        for number in range(count)
    ]


def _cut(
    photograph: Picture, generator: np.random.Generator
) -> UInt8[np.ndarray, "new_rows new_columns 3"]:
    """Most of ``photograph``, from a place of its own, in other colours."""
    share = generator.uniform(0.75, 0.9)
    rows, columns = (round(side * share) for side in photograph.shape[:2])
    top = generator.integers(0, photograph.shape[0] - rows + 1)
    left = generator.integers(0, photograph.shape[1] - columns + 1)
    part = photograph[top : top + rows, left : left + columns]
    if generator.random() < 0.5:
        part = part[:, ::-1]
    gamma, gains = generator.uniform(0.85, 1.15), generator.uniform(0.9, 1.08, 3)
    levels = (np.arange(256)[:, None] / 255) ** gamma * gains * 255
    table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return np.stack([table[:, channel][part[:, :, channel]] for channel in range(3)], axis=2)

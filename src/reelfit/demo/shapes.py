"""A set of videos with texts: clips of moving shapes, their captions, the study beside them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Final

from reelfit.data.seeds import generator_for
from reelfit.demo.moving_shape import DIRECTIONS, HUES, OUTLINES, TRAVELS, MovingShape, film_shape
from reelfit.demo.whole_set import note_as_whole, stands, write_video
from reelfit.demo.writing import video_bytes
from reelfit.files import digest, write_text

VERSION = 1
"""Of the clips' making: another one gives other clips."""

EVERY: Final = tuple(MovingShape(*words) for words in product(HUES, OUTLINES, DIRECTIONS, TRAVELS))
"""All combinations of the four qualities."""

SIDE = 96
NUM_FRAMES = 16
FPS = Fraction(8)
HELD_OUT = 0.2
"""The share of the combinations that is for testing alone."""
_WAYS = {"left": "to the left", "right": "to the right", "up": "upwards", "down": "downwards"}

_STUDY = """\
# Moving shapes and their captions. Change it and give: reelfit run study.yaml
task: retrieve
name: demo

# Which text belongs to which clip? Whole combinations of colour, shape, direction and speed are
# held out: the column split says which, and no word of theirs is new.
videos: {table: videos.csv, path: video_path, text: caption, group: combination}
folds: {column: split, near_duplicates: null}

# All processes of the run together hold no more than this.
memory: {host: 3GiB}

# 8 frames of each clip, in each epoch turned, moved and lit a little otherwise. A mirrored clip
# would move the other way, and its caption would be wrong: so no flip among the augmentations.
clips:
  frames: 8
  size: 64
  copies: 1
  store: originals
  augment: {rotation: 8, translation_scale: 0.08, brightness: 0.1, contrast: 0.1, noise: 4}

models: [{name: r3d, dropout: 0}]
retrieve:
  text: {name: text_transformer, width: 64, layers: 2, vocabulary: 400, length: 24, dropout: 0.1}
  dimensions: 64
  caption: {width: 96, dropout: 0.2}
train: {epochs: 20, effective_batch: 32, learning_rate: 0.004, weight_decay: 0.1}
"""


@dataclass(frozen=True)
class _Clip:
    """What a clip shows, which one of its kind it is, and where it stands."""

    shown: MovingShape
    number: int
    path: Path


def make_shapes_set(
    folder: Path,
    *,
    seed: int = 0,
    combinations: int = len(EVERY),
    clips_each: int = 3,
    report_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Makes the set in ``folder`` and returns its ``study.yaml``; what stands is not made again.

    Of each of ``combinations`` of a colour, a shape, a direction and a speed ``clips_each`` clips
    with one caption, each with place, size, light and background of its own. The column ``split``
    holds a fifth of the combinations out, whose words all occur in training.
    ``report_progress`` is told the clips that stand, and how many there will be.
    Memory: one clip.

    Raises:
        ValueError: too few combinations for every word to be trained on, or more than there are.
        RunError: the disk is full.
    """
    if clips_each < 1:
        raise ValueError(f"{clips_each=}: at least 1")
    held_out = split_combinations(combinations, seed=seed)
    made = {"version": VERSION, "seed": seed, "shapes": [combinations, clips_each]}
    key = digest(made)
    study = folder / "study.yaml"
    if stands(folder, key):
        return study
    clips = _clips(list(held_out), folder, clips_each=clips_each, key=key)
    for done, clip in enumerate(clips, 1):
        _make(clip, seed=seed)
        if report_progress:
            report_progress(done, len(clips))
    write_text(folder / "videos.csv", _table(clips, held_out, folder))
    write_text(study, _STUDY)
    note_as_whole(folder, key, (clip.path for clip in clips))
    return study


def caption(shown: MovingShape) -> str:
    """The text of every clip of this combination."""
    way = _WAYS[shown.direction]
    return f"a {shown.colour} {shown.shape} moves {shown.speed} {way}"


def split_combinations(count: int, *, seed: int) -> dict[MovingShape, bool]:
    """``count`` combinations, and whether each is held out: a fifth, of words that stay behind.

    Raises:
        ValueError: so few leave a word without a combination to train on, or there are fewer.
    """
    if count > len(EVERY):
        raise ValueError(f"combinations={count}: there are {len(EVERY)}")
    order = generator_for(seed, "shapes combinations").permutation(len(EVERY))
    taken = [EVERY[place] for place in order[:count]]
    left = list(taken)
    wanted = round(HELD_OUT * count)
    for shown in taken:
        others = [other for other in left if other != shown]
        if len(taken) - len(left) < wanted and _words(shown) <= _words(*others):
            left = others
    if not wanted or len(taken) - len(left) < wanted:
        raise ValueError(f"combinations={count}: too few to hold some out and train on all words")
    return {shown: shown not in left for shown in taken}


def _words(*combinations: MovingShape) -> set[str]:
    return {word for shown in combinations for word in asdict(shown).values()}


def _name(shown: MovingShape) -> str:
    return " ".join(asdict(shown).values())


def _clips(
    combinations: Sequence[MovingShape], folder: Path, *, clips_each: int, key: str
) -> list[_Clip]:
    # The key keeps clips of another seed in the same folder from being taken for these.
    return [
        _Clip(
            shown,
            number,
            folder / "videos" / f"{_name(shown).replace(' ', '_')}_{number}_{key[:8]}.mp4",
        )
        for shown in combinations
        for number in range(1, clips_each + 1)
    ]


def _make(clip: _Clip, *, seed: int) -> None:
    if clip.path.exists():
        return
    generator = generator_for(seed, "shapes clip", _name(clip.shown), clip.number)
    frames = film_shape(clip.shown, side=SIDE, num_frames=NUM_FRAMES, generator=generator)
    write_video(clip.path, video_bytes(frames, fps=FPS))


def _table(clips: Sequence[_Clip], held_out: dict[MovingShape, bool], folder: Path) -> str:
    """``videos.csv``, whose videos stand beside it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video_path", "caption", "combination", "split"])
    for clip in clips:
        where = clip.path.relative_to(folder).as_posix()
        split = "test" if held_out[clip.shown] else "train"
        rows.writerow([where, caption(clip.shown), _name(clip.shown), split])
    return text.getvalue()

"""The demo's set: two clips of each source, the table that labels them, the study beside it."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reelfit.data.seeds import generator_for
from reelfit.demo.footage import find_files, open_footage
from reelfit.demo.scenes import cut_scenes
from reelfit.demo.source import Source
from reelfit.demo.tampering import KINDS, Kind, tamper
from reelfit.demo.whole_set import note_as_whole, stands, write_video
from reelfit.demo.writing import CLOSE_ENOUGH, video_bytes, video_of_size
from reelfit.errors import StudyError
from reelfit.files import digest, write_text

LENT_SIDE = 96
"""Of what a patch is cut from, in pixels: enlarged, it is softer than its surroundings."""

VERSION = 2
"""Of the clips' making: another one gives other clips."""

FEWEST_SOURCES = 10
"""Of the user's: five folds need five, and less than two in each says nothing."""

_STUDY = """\
# The demo's study. Change it and give: reelfit run study.yaml
task: classify
name: demo

# Which clip is tampered with (label 1)? Clips of one source never stand on both sides of a fold.
videos: {table: videos.csv, path: video_path, label: label, group: source_id}

# All processes of the run together hold no more than this.
memory: {host: 4GiB}

# 8 frames of each clip, and two copies of it that are augmented a little.
clips: {frames: 8, size: 96, copies: 2, augment: light}

folds: {count: 5}
models: [handcrafted_logistic, naive_cnn, r2plus1d]
train: {epochs: 6, effective_batch: 16}
"""


@dataclass(frozen=True)
class _Twins:
    """A source, what its second clip suffers, and where both clips stand."""

    source: Source
    kind: Kind
    pristine: Path
    tampered: Path


def make_demo_set(
    folder: Path,
    *,
    seed: int = 0,
    sources: int = 24,
    videos: Path | None = None,
    report_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Makes the set in ``folder`` and returns its ``study.yaml``; what stands is not made again.

    Of each source one pristine clip (label 0) and one tampered (label 1), alike in size, frame
    rate, length and encoding, and within about 2 % in bytes: no container tells them apart. The
    sources are ``sources`` scenes of two photographs or, with ``videos``, all the user's clips
    below that folder, which may also hold files that are no video: these go into the table as they
    are. ``report_progress`` is told the user's files that were looked at and the clips that stand,
    and how many there will be.
    Memory: three short clips of at most 640 x 640 pixels, or one of 1280 x 720.

    Raises:
        StudyError: there is no folder ``videos``, or too few clips in it.
        RunError: the disk is full.
    """
    if sources < 2:
        raise ValueError(f"{sources=}: at least 2, one has to lend its patch to the other")
    files = find_files(videos, apart_from=folder) if videos is not None else None
    made = {"version": VERSION, "seed": seed, "sources": _what_is_filmed(files, sources)}
    key = digest(made)
    study = folder / "study.yaml"
    if stands(folder, key):
        return study
    found: Sequence[Source]
    unusable: list[Path] = []
    opened = 0
    if videos is not None and files is not None:
        found, unusable = _open_all(videos, files, report_progress)
        opened = len(files)
    else:
        found = cut_scenes(sources, seed=seed)
    twins = _pair(found, folder, seed=seed, key=key)
    for number, pair in enumerate(twins):
        _make(pair, lender=found[(number + 1) % len(found)], seed=seed)
        if report_progress:
            report_progress(opened + 2 * (number + 1), opened + 2 * len(twins))
    write_text(folder / "videos.csv", _table(twins, unusable, folder))
    write_text(study, _STUDY)
    note_as_whole(folder, key, (path for pair in twins for path in (pair.pristine, pair.tampered)))
    return study


def _what_is_filmed(files: list[Path] | None, sources: int) -> object:
    if files is None:
        return sources
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _open_all(
    videos: Path, files: list[Path], report_progress: Callable[[int, int], None] | None
) -> tuple[list[Source], list[Path]]:
    """The user's clips, and the files that are none."""
    root = videos.resolve()
    usable: list[Source] = []
    unusable: list[Path] = []
    for number, path in enumerate(files, 1):
        inside = path.is_relative_to(root)  # a link may lead elsewhere
        name = path.relative_to(root).as_posix() if inside else str(path)
        footage = open_footage(path, source_id=name)
        if footage:
            usable.append(footage)
        else:
            unusable.append(path)
        if report_progress:
            report_progress(number, 3 * len(files))
    if len(usable) < FEWEST_SOURCES:
        raise StudyError(
            f"--videos {videos}: {len(usable)} of its {len(files)} files are usable videos; at "
            f"least {FEWEST_SOURCES} are needed, so that five folds have two each"
        )
    return usable, unusable


def _pair(found: Sequence[Source], folder: Path, *, seed: int, key: str) -> list[_Twins]:
    """Each source with its kind of tampering, all kinds about equally often."""
    kinds: list[Kind] = []
    while len(kinds) < len(found):
        order = generator_for(seed, "demo kinds", len(kinds)).permutation(len(KINDS))
        kinds += [KINDS[place] for place in order]
    place = folder / "videos"
    return [
        _Twins(
            source,
            kind,
            # The key keeps clips of another seed in the same folder from being taken for these.
            pristine=place / f"{number:03}_pristine_{key[:8]}.mp4",
            tampered=place / f"{number:03}_tampered_{key[:8]}.mp4",
        )
        for number, (source, kind) in enumerate(zip(found, kinds, strict=False), 1)
    ]


def _make(twins: _Twins, *, lender: Source, seed: int) -> None:
    """Writes the clips that do not stand yet."""
    if twins.pristine.exists() and twins.tampered.exists():
        return
    source = twins.source
    frames = source.film()
    tampered = tamper(
        frames,
        kind=twins.kind,
        fps=source.fps,
        borrow=partial(lender.lend, longest_side=LENT_SIDE),
        generator=generator_for(seed, "demo tampering", source.source_id),
    )
    pristine = video_bytes(frames, fps=source.fps)
    other = video_of_size(tampered, fps=source.fps, num_bytes=len(pristine))
    if abs(len(other) / len(pristine) - 1) > CLOSE_ENOUGH:  # one frozen for long stays small
        pristine = video_of_size(frames, fps=source.fps, num_bytes=len(other))
    write_video(twins.pristine, pristine)
    write_video(twins.tampered, other)


def _table(twins: list[_Twins], unusable: list[Path], folder: Path) -> str:
    """``videos.csv``; clips by their place beside it, the user's own files by their whole path."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video_path", "label", "source_id", "tampering"])
    for pair in twins:
        name = pair.source.source_id
        rows.writerow([pair.pristine.relative_to(folder).as_posix(), 0, name, "none"])
        rows.writerow([pair.tampered.relative_to(folder).as_posix(), 1, name, pair.kind])
    for path in unusable:
        rows.writerow([str(path), 0, str(path), "none"])
    return text.getvalue()

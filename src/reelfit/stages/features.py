"""The handcrafted features of each video, once for all folds, models and runs.

Reads ``folds.parquet``, ``index.parquet``, ``clips.parquet``, the videos -> writes
``features.parquet``.
Runs again for videos of which the store has no features by these settings. Peak memory: one
decoder, one full-size frame, the luma of two.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.errors import VideoError
from reelfit.files import append_json_line, digest, read_json_lines, write_whole
from reelfit.memory.allocator import map_large_blocks
from reelfit.runs import Run
from reelfit.stages.clips import (
    CONTAINER,
    NOT_FOR_GOOD,
    Clips,
    listing_root,
    slice_name,
    videos_of,
)
from reelfit.stages.index import limit_seconds, slice_size
from reelfit.stages.rejection import require_classes, write_rejected
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import ids_of
from reelfit.study import FeatureSettings, Study, what_matters

if TYPE_CHECKING:
    from reelfit.video.frames import IndexedVideo

SLICE = 64
"""Videos per unit at the most."""
FRAME_BYTES = 2 * 2**20
"""Blocks from here on are mapped. Of 50 frames of 1080p the heap else grew to 127 MiB at times, in
place of 38: glibc 2.36 finds no room for an aligned block where one of its size was."""
MEASURING_SECONDS = 0.5
"""That a million pixels may take beside their decoding: eight times what benchmarks/features.py
has, as processes side by side share the processors."""


@final
class Features(Stage):
    """Decodes a share of each video; a study without a model on features has no units."""

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 2
    items: ClassVar[str] = "videos"
    reads: ClassVar[tuple[str, ...]] = ("split", "clips")
    writes: ClassVar[tuple[str, ...]] = ("features.parquet",)

    def is_asked(self, study: Study) -> bool:
        """For the task classify."""
        return study.task == "classify"

    def settings(self, study: Study) -> Any:
        """Which frames are measured, what clips are made of them, and whether a model asks."""
        clips = [study.clips.size, study.clips.fit, study.videos.on_damage]
        return [what_matters(study.features), clips, [choice.name for choice in study.models]]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Slices of the videos with a clip of which the store has neither features nor a reason."""
        if not _are_needed(run):
            return []
        clips = pl.read_parquet(run.file("clips.parquet"))
        videos = videos_of(run).join(clips, on="video_id", how="semi", maintain_order="left")
        stored = _stored(self._folder(run, study)).filter(
            ~pl.col("reason").is_in(NOT_FOR_GOOD).fill_null(False)
        )
        missing = videos.join(stored, on="video_id", how="anti", maintain_order="left")
        known = ("video_id", "path", "frame_count", "duration_seconds", "width", "height")
        rows = missing.select(known).rows(named=True)
        size = slice_size(len(rows), most=SLICE)
        slices = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
        root = str(listing_root(study))
        return [
            Unit(self.name, slice_name(part), len(part), {"videos": part, "root": root})
            for part in slices
        ]

    def _folder(self, run: Run, study: Study) -> Path:
        """Where the features of these settings stand; the clips' version is the decoder's, too."""
        asked = [what_matters(study.features), study.videos.on_damage]
        key = digest([self.version, Clips.version, asked])
        return run.store / "features" / key[:32]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """A line for each video as it is done, and a table of them all in the end."""
        import torch

        torch.set_num_threads(1)
        map_large_blocks(FRAME_BYTES)
        folder = self._folder(run, study)
        folder.mkdir(parents=True, exist_ok=True)
        lines = folder / f"{unit.name}.jsonl"
        done = {
            line["video_id"]: line
            for line in read_json_lines(lines)
            if line.get("reason") not in NOT_FOR_GOOD
        }
        for number, video in enumerate(unit.facts["videos"], 1):
            identity = video["video_id"]
            if identity not in done:
                path = Path(unit.facts["root"]) / video["path"]
                done[identity] = {"video_id": identity, **_found(path, video, study, context)}
                append_json_line(lines, done[identity])
            context.report_progress(number, unit.items)
        rows = [done[video["video_id"]] for video in unit.facts["videos"]]
        frame = pl.DataFrame(rows, schema=_schema())
        write_whole(folder / f"{unit.name}.parquet", frame.write_parquet)
        lines.unlink(missing_ok=True)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """One row per video of this run, in the order of the folds, and those that have none."""
        from reelfit.data.tables import features_schema, write_table
        from reelfit.features import FEATURE_NAMES

        videos = videos_of(run)
        if not _are_needed(run):
            videos = videos.clear()
        found = videos.join(
            _stored(self._folder(run, study)), on="video_id", maintain_order="left"
        ).join(pl.read_parquet(run.file("clips.parquet")), on="video_id", how="semi")
        usable = found.filter(pl.col("reason").is_null())
        failed = found.filter(pl.col("reason").is_not_null())
        rejected = write_rejected(run, listing, self.name, failed)
        if not found.is_empty():
            require_classes(run, listing, kept=usable, rejected=rejected)
        table = _with_facts(usable, study).select("video_id", *FEATURE_NAMES)
        write_table(table, run.file("features.parquet"), features_schema(FEATURE_NAMES))
        context.event("features", videos=table.height, rejected=failed.height)


def _are_needed(run: Run) -> bool:
    """Whether a model of the study learns from features and not from clips."""
    return bool(ids_of(run, "features"))


def _found(path: Path, video: dict[str, Any], study: Study, context: Context) -> dict[str, Any]:
    """The features of one video's pixels, or the reason why it has none."""
    from reelfit.video.frames import indexed_video

    seconds = limit_seconds(study, duration_seconds=video["duration_seconds"])
    millions = study.features.most * video["width"] * video["height"] / 1e6
    seconds += MEASURING_SECONDS * millions
    try:
        context.begin_item(str(path), seconds)
        with indexed_video(path) as opened:
            return _features_of(opened, range(video["frame_count"]), study)
    except VideoError as error:
        return {"reason": error.reason, "detail": error.detail}


def _features_of(video: "IndexedVideo", frames: Sequence[int], study: Study) -> dict[str, Any]:
    """Those of all frames; where some are damaged and the study allows it, of the whole ones."""
    from reelfit.video.frames import whole_frames

    try:
        return _measure(video, frames, study.features)
    except VideoError as error:
        keeps = study.videos.on_damage == "keep_whole_frames"
        whole = whole_frames(video) if keeps and error.reason not in NOT_FOR_GOOD else []
        if not whole:
            raise
    return _measure(video, whole, study.features)


def _measure(
    video: "IndexedVideo", frames: Sequence[int], settings: FeatureSettings
) -> dict[str, Any]:
    """The features of a share of ``frames``, which are all that there are or all that are whole."""
    from reelfit.features.video_features import VideoFeatures
    from reelfit.video.decode import visit_pictures
    from reelfit.video.sample import sample_share

    count = len(frames)
    sampled = sample_share(count, share=settings.share, least=settings.least, most=settings.most)
    features = VideoFeatures(sampled, frame_count=count)
    places = {frames[place]: place for place in features.wanted}
    visit_pictures(
        video,
        places.keys(),
        lambda index, picture: features.take(places[index], picture.numpy()),
    )
    return dict(features.values())


def _with_facts(usable: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The rows of ``usable`` with what the container and the clips' settings say of each video."""
    from reelfit.features import CONTAINER_NAMES
    from reelfit.features.scaling import SCALING_NAMES, scaling_features

    container = [
        pl.col(fact).cast(pl.Float64).fill_null(0.0).alias(name)
        for fact, name in zip(CONTAINER, CONTAINER_NAMES, strict=True)
    ]
    scaled = [
        scaling_features(
            width=height if rotation % 180 else width,
            height=width if rotation % 180 else height,
            size=study.clips.height_width,
            fit=study.clips.fit,
        )
        for width, height, rotation in usable.select("width", "height", "rotation").rows()
    ]
    schema = dict.fromkeys(SCALING_NAMES, pl.Float64)
    scaling = pl.DataFrame(scaled, schema=schema, orient="row")
    return usable.with_columns(container).hstack(scaling)


def _stored(folder: Path) -> pl.DataFrame:
    """What the store has of each video: rows of whole slices, lines of those that were killed.

    The next run cuts other slices of what is missing, so lines count whatever their slice was. A
    video that was refused once and measured later has its features.
    """
    parts = [pl.read_parquet(part) for part in sorted(folder.glob("*.parquet"))]
    lines = [line for part in sorted(folder.glob("*.jsonl")) for line in read_json_lines(part)]
    stored = pl.concat([*parts, pl.DataFrame(lines, schema=_schema())])
    by_use = stored.sort(pl.col("reason").is_not_null(), maintain_order=True)
    return by_use.unique("video_id", keep="first", maintain_order=True)


def _schema() -> dict[str, Any]:
    from reelfit.features import PIXEL_NAMES

    columns = dict.fromkeys(PIXEL_NAMES, pl.Float64)
    return {"video_id": pl.String, **columns, "reason": pl.String, "detail": pl.String}

"""The frames of each video, original and augmented copies, once for all folds, models and runs.

Reads ``folds.parquet``, the videos -> writes shards in the store, ``clips.parquet``.
Runs again for videos that the store lacks under these settings. Peak memory: one full-size frame,
one clip.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.data.seeds import clip_generator
from reelfit.errors import VideoError
from reelfit.files import digest, write_json, write_whole
from reelfit.runs import Run
from reelfit.stages.index import slice_size
from reelfit.stages.rejection import require_classes, write_rejected
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters

SLICE = 64
"""Videos per shard at the most."""
CONTAINER = ("bit_rate", "fps", "width", "height")
"""Facts of the container that stand with each clip, for the features made of it."""


@final
class Clips(Stage):
    """Decodes each video once; a unit fills one shard."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "videos"
    reads: ClassVar[tuple[str, ...]] = ("split",)
    writes: ClassVar[tuple[str, ...]] = ("clips.parquet",)

    def settings(self, study: Study) -> Any:
        """All that a clip's pixels depend on, beside the video."""
        return [what_matters(study.clips), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Slices of the videos that no shard in the store holds."""
        folder = self.folder(run, study)
        stored = _stored(folder)
        missing = videos_of(run).join(stored, on="video_id", how="anti").rows(named=True)
        size = slice_size(len(missing), most=SLICE)
        slices = [missing[begin : begin + size] for begin in range(0, len(missing), size)]
        root = str(listing_root(study))
        return [
            Unit(self.name, slice_name(part), len(part), {"videos": part, "root": root})
            for part in slices
        ]

    def folder(self, run: Run, study: Study) -> Path:
        """The folder of the shards of these settings."""
        return run.store / "clips" / digest([self.version, self.settings(study)])[:32]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """One shard, its manifest last; a video that cannot be decoded is in it with its reason."""
        import torch

        from reelfit.data.shards import write_shard

        torch.set_num_threads(1)
        folder = self.folder(run, study)
        rejected: list[dict[str, Any]] = []
        rows = write_shard(folder / f"{unit.name}.tar", _clips_of(study, unit, context, rejected))
        facts = {v["video_id"]: {name: v[name] for name in CONTAINER} for v in unit.facts["videos"]}
        manifest = pl.DataFrame(
            [row | facts[row["video_id"]] for row in (*rows, *rejected)], schema=_MANIFEST_SCHEMA
        )
        write_json(folder / "settings.json", self.settings(study))
        write_whole(folder / f"{unit.name}.parquet", manifest.write_parquet)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The manifest of this run's clips, and the videos that could not be decoded."""
        from reelfit.data.tables import CLIPS, write_table

        stored = _stored(self.folder(run, study)).join(
            videos_of(run).select("video_id", "path"), on="video_id"
        )
        failed = stored.filter(pl.col("reason").is_not_null()).unique("video_id")
        clips = (
            stored.filter(pl.col("reason").is_null())
            .sort("video_id", "copy", "shard")
            .unique(["video_id", "copy"], keep="first", maintain_order=True)
            .select(*CLIPS.columns)
        )
        rejected = write_rejected(run, listing, self.name, failed)
        require_classes(run, listing, kept=clips, rejected=rejected)
        write_table(clips, run.file("clips.parquet"), CLIPS)
        context.event("clips", clips=clips.height, rejected=failed.height)


def listing_root(study: Study) -> Path:
    """Where the paths of the user's table start from."""
    videos = study.videos
    if videos.folder is not None:
        return videos.folder
    assert videos.table is not None
    return videos.root or videos.table.parent


def _clips_of(
    study: Study, unit: Unit, context: Context, rejected: list[dict[str, Any]]
) -> Iterator[Any]:
    from reelfit.augment import apply_augmentation, check_strengths, draw_augmentation
    from reelfit.data.seeds import generator_for
    from reelfit.data.shards import Clip
    from reelfit.video.decode import decode
    from reelfit.video.sample import sample_frames

    clips, seed = study.clips, study.seed
    strengths = check_strengths(clips.augment)
    for number, video in enumerate(unit.facts["videos"], 1):
        identity = video["video_id"]
        try:
            at = sample_frames(
                video["frame_count"],
                count=clips.frames,
                sampling=clips.sampling,
                every=clips.every,
                generator=generator_for(seed, "frames", identity),
            )
            path = Path(unit.facts["root"]) / video["path"]
            frames = decode(path, at=at, size=clips.size, fit=clips.fit)
        except VideoError as error:
            rejected.append({"video_id": identity, "reason": error.reason, "detail": error.detail})
            continue
        yield Clip(identity, 0, frames.numpy(), at, {})
        for copy in range(1, clips.copies + 1):
            drawn = draw_augmentation(
                strengths, generator=clip_generator(seed, identity, copy), num_frames=clips.frames
            )
            pixels = apply_augmentation(frames, drawn).contiguous().numpy()
            yield Clip(identity, copy, pixels, at, drawn)
        context.report_progress(number, unit.items)


def videos_of(run: Run) -> pl.DataFrame:
    """video_id, path and the container's facts of the videos of this run's folds."""
    index = pl.read_parquet(run.file("index.parquet")).select("path", "frame_count", *CONTAINER)
    folds = pl.read_parquet(run.file("folds.parquet")).select("video_id", "path")
    return folds.join(index, on="path", maintain_order="left")


def _stored(folder: Path) -> pl.DataFrame:
    """The rows of every whole shard's manifest in the store."""
    parts = sorted(folder.glob("*.parquet"))
    whole = [pl.read_parquet(part) for part in parts if part.with_suffix(".tar").exists()]
    return pl.concat(whole) if whole else pl.DataFrame(schema=_MANIFEST_SCHEMA)


def slice_name(videos: list[dict[str, Any]]) -> str:
    """What a slice of videos is called in the store."""
    return digest([video["video_id"] for video in videos])[:16]


_MANIFEST_SCHEMA: dict[str, Any] = {
    "video_id": pl.String,
    "copy": pl.Int32,
    "shard": pl.String,
    "offset": pl.Int64,
    "bytes": pl.Int64,
    "frames": pl.List(pl.Int64),
    "augmentation": pl.String,
    "bit_rate": pl.Int64,
    "fps": pl.Float64,
    "width": pl.Int32,
    "height": pl.Int32,
    "reason": pl.String,
    "detail": pl.String,
}

"""The frames of each video, original and augmented copies, once for all folds, models and runs.

Reads ``index.parquet``, the videos -> writes shards in the store, ``clips.parquet``,
``fingerprints.parquet``.
Runs again for videos that the store lacks under these settings. Peak memory: one full-size frame,
the clips of one video.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.errors import VideoError
from reelfit.files import digest, require_room, write_json, write_whole
from reelfit.runs import Run
from reelfit.stages.decoding import clips_of, decode_clip
from reelfit.stages.index import limit_seconds, slice_size
from reelfit.stages.rejection import require_classes, write_rejected
from reelfit.stages.stage import BREAKS, TOO_SLOW, Context, Stage, Unit
from reelfit.study import Study, what_matters

if TYPE_CHECKING:
    from reelfit.data.shards import ShardWriter

SHARD_BYTES = 2**29
"""Of a shard, about: videos are put together up to it, for each shard is a process with imports."""
FEWEST, MOST = 64, 512
"""Videos per shard at the most, where their clips are large, and where they are small."""
NOT_FOR_GOOD = (TOO_SLOW, BREAKS)
"""Reasons that another day or another version may mend: the next run tries such a video again."""
CONTAINER = ("bit_rate", "fps", "width", "height")
"""Facts of the container that stand with each clip, for the features made of it."""


@final
class Clips(Stage):
    """Decodes each video once; a unit fills one shard."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 4
    items: ClassVar[str] = "videos"
    reads: ClassVar[tuple[str, ...]] = ("index",)
    writes: ClassVar[tuple[str, ...]] = ("clips.parquet", "fingerprints.parquet")

    def settings(self, study: Study) -> Any:
        """All that a clip's pixels depend on, beside the video."""
        clips = what_matters(study.clips)
        if study.clips.store == "originals":  # copies are made when they are read
            del clips["copies"], clips["augment"]
        return [clips, study.videos.on_damage, study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Slices of the videos that no shard in the store holds."""
        folder = self.folder(run, study)
        stored = _stored(folder).filter(~pl.col("reason").is_in(NOT_FOR_GOOD).fill_null(False))
        videos = videos_of(run)
        missing = set(videos.join(stored, on="video_id", how="anti")["video_id"])
        # Slices of all, so that a shard half made is found again when others are whole.
        most = min(max(SHARD_BYTES // _bytes_of_video(study), FEWEST), MOST)
        size, root = slice_size(videos.height, most=most), str(listing_root(study))
        slices = [
            [video for video in part.rows(named=True) if video["video_id"] in missing]
            for part in videos.iter_slices(size)
        ]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            require_room(folder, len(missing) * _bytes_of_video(study), what="the clips")
        return [
            Unit(self.name, slice_name(part), len(part), {"videos": part, "root": root})
            for part in slices
            if part
        ]

    def folder(self, run: Run, study: Study) -> Path:
        """The folder of the shards of these settings."""
        return run.store / "clips" / digest([self.version, self.settings(study)])[:32]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """One shard, its manifest last; a video that cannot be decoded is in it with its reason."""
        import torch

        from reelfit.data.shards import ShardWriter

        torch.set_num_threads(1)
        folder, clips = self.folder(run, study), study.clips
        writer = ShardWriter(
            folder / f"{unit.name}.tar",
            making=run.state / "shards" / f"{unit.name}.tar",
            store=clips.format,
            quality=clips.jpeg_quality,
        )
        done = {row["video_id"] for row in writer.rows}
        for number, video in enumerate(unit.facts["videos"], 1):
            if video["video_id"] not in done:
                _add_video(writer, video, study, unit, context)
            context.report_progress(number, unit.items)
        manifest = pl.DataFrame(writer.finish(), schema=_MANIFEST_SCHEMA)
        write_json(folder / "settings.json", self.settings(study))
        write_whole(folder / f"{unit.name}.parquet", manifest.write_parquet)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The manifest of this run's clips, and the videos that could not be decoded."""
        from reelfit.data.tables import CLIPS, FINGERPRINTS, write_table

        stored = _stored(self.folder(run, study)).join(
            videos_of(run).select("video_id", "path"), on="video_id"
        )
        made = stored.filter(pl.col("reason").is_null())
        failed = stored.join(made, on="video_id", how="anti").unique("video_id", keep="last")
        clips = made.sort("video_id", "copy", "shard").unique(
            ["video_id", "copy"], keep="first", maintain_order=True
        )
        originals = clips.filter(pl.col("copy") == 0).select(*FINGERPRINTS.columns)
        clips = clips.select(*CLIPS.columns)
        rejected = write_rejected(run, listing, self.name, failed)
        require_classes(run, listing, kept=clips, rejected=rejected)
        write_table(originals, run.file("fingerprints.parquet"), FINGERPRINTS)
        write_table(clips, run.file("clips.parquet"), CLIPS)
        context.event("clips", clips=clips.height, rejected=failed.height)


def listing_root(study: Study) -> Path:
    """Where the paths of the user's table start from."""
    videos = study.videos
    if videos.folder is not None:
        return videos.folder
    assert videos.table is not None
    return videos.root or videos.table.parent


def _add_video(
    writer: "ShardWriter", video: dict[str, Any], study: Study, unit: Unit, context: Context
) -> None:
    """Its clips, or its row with the reason why it has none."""
    identity = video["video_id"]
    path = str(Path(unit.facts["root"]) / video["path"])
    try:
        seconds = limit_seconds(study, duration_seconds=video["duration_seconds"])
        context.begin_item(path, seconds)
        decoded = decode_clip(Path(path), identity, study)
    except VideoError as error:
        facts = {"video_id": identity, "reason": error.reason, "detail": error.detail}
        writer.add([], facts=facts)
        return
    if decoded.left_out:
        context.event("frames_left_out", path=video["path"], frames=decoded.left_out)
    facts = {name: video[name] for name in CONTAINER}
    facts |= {"strategy": decoded.strategy, "fingerprint": decoded.fingerprint}
    writer.add(clips_of(decoded, identity, study), facts=facts)


def _bytes_of_video(study: Study) -> int:
    """Of its clips, raw; JPEGs of video at a quality of 95 were an eighth of that."""
    clips = study.clips
    height, width = clips.height_width
    pixels = clips.frames * 3 * height * width
    copies = 0 if clips.store == "originals" else clips.copies
    return (1 + copies) * (pixels if clips.format == "uint8" else pixels // 8)


def videos_of(run: Run) -> pl.DataFrame:
    """video_id, path and the container's facts of this run's videos, each content once.

    In the order of video_id: the user's order plays no part.
    """
    known = ("video_id", "path", "frame_count", "duration_seconds", "rotation", *CONTAINER)
    index = pl.read_parquet(run.file("index.parquet")).select(known)
    return index.sort("video_id", "path").unique("video_id", keep="first", maintain_order=True)


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
    "crc32": pl.Int64,
    "strategy": pl.String,
    "frames": pl.List(pl.Int64),
    "augmentation": pl.String,
    "fingerprint": pl.List(pl.UInt64),
    "bit_rate": pl.Int64,
    "fps": pl.Float64,
    "width": pl.Int32,
    "height": pl.Int32,
    "reason": pl.String,
    "detail": pl.String,
}

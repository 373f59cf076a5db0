"""What each video is: its identity, its container's facts, or why it cannot be used.

Reads the user's table -> writes ``index.parquet``, ``rejected.parquet``.
Runs again for rows whose file, label or group changed. Peak memory: one container, one frame.
"""

from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.explicit_split import require_sides, require_together
from reelfit.data.folds import assign_groups, contradictions, join_groups, require_groups
from reelfit.data.listing import Listing
from reelfit.errors import StudyError, VideoError
from reelfit.files import digest, write_whole
from reelfit.runs import Run
from reelfit.stages.duplicates import of_one_content
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters
from reelfit.video.array_names import file_of

SLICE = 256
"""Videos per unit at the most; fewer for small sets, so that all processors have work."""


MINUTE_BYTES = 64 * 2**20
"""What a minute of video is taken to have at least, before it is known how long it is."""


@final
class Index(Stage):
    """Opens every container, in slices that all later runs share; decodes one frame of each."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 3
    items: ClassVar[str] = "videos"
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ("index.parquet", "rejected.parquet")

    def settings(self, study: Study) -> Any:
        """Which columns say what."""
        return what_matters(study.videos)

    def inputs(self, listing: Listing) -> Any:
        """The rows, and size and time of change of each file."""
        return [listing.digest, digest([_stamp(Path(file)) for file in listing.rows["file"]])]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The slices of which no run has left facts."""
        return [
            Unit(self.name, name, len(files), {"files": files})
            for name, files in self._slices(study, listing)
            if not _slice_file(run, name).exists()
        ]

    def _slices(self, study: Study, listing: Listing) -> list[tuple[str, list[str]]]:
        files, damage = listing.rows["file"].to_list(), study.videos.on_damage
        size = slice_size(len(files), most=SLICE)
        slices = [files[begin : begin + size] for begin in range(0, len(files), size)]
        return [
            (digest([self.version, damage, [[f, _stamp(Path(f))] for f in part]])[:32], part)
            for part in slices
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Facts of each video of the slice, or the reason why it has none."""
        from reelfit.video.arrays import content_digest
        from reelfit.video.probe import probe

        rows: list[dict[str, Any]] = []
        for number, name in enumerate(unit.facts["files"], 1):
            path = Path(name)
            try:
                seconds = limit_seconds(study, file_bytes=_bytes_of(path))
                context.begin_item(name, seconds)
                facts = vars(probe(path, on_damage=study.videos.on_damage)) | {
                    "video_id": content_digest(path)[:32],
                    "reason": None,
                }
                rows.append({"file": name} | facts)
            except VideoError as error:
                rows.append({"file": name, "reason": error.reason, "detail": error.detail})
            except OSError as error:
                rows.append({"file": name, "reason": "cannot be read", "detail": str(error)})
            context.report_progress(number, unit.items)
        frame = pl.DataFrame(rows, schema=_SLICE_SCHEMA)
        write_whole(_slice_file(run, unit.name), frame.write_parquet)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The two tables, in the order of the user's rows."""
        from reelfit.data.tables import INDEX, REJECTED, write_table

        parts = [
            pl.read_parquet(_slice_file(run, name)) for name, _ in self._slices(study, listing)
        ]
        probed = listing.rows.join(pl.concat(parts), on="file", how="left", maintain_order="left")
        usable = probed.filter(pl.col("reason").is_null())
        index = usable.select(*INDEX.columns)
        rejected = pl.concat(
            [
                probed.filter(pl.col("reason").is_not_null()).select(
                    "path", "row", "reason", "detail"
                ),
                listing.repeated.select("path", "row", "reason", detail=pl.lit("")),
            ]
        ).select(
            "path",
            "row",
            pl.lit(self.name).alias("stage"),
            "reason",
            pl.col("detail").fill_null(""),
        )
        empty = [name for name in listing.classes if name not in set(index["label"])]
        write_table(rejected.sort("row"), run.file("rejected.parquet"), REJECTED)
        if empty:
            first = rejected.row(0, named=True)
            raise StudyError(
                f"no video of the class {empty[0]} can be used: {rejected.height} of "
                f"{rejected.height + index.height} were rejected, the first ({first['path']}) "
                f"because: {first['reason']}; see {run.file('rejected.parquet')}"
            )
        _require_folds(index, study, listing)
        write_table(index, run.file("index.parquet"), INDEX)
        context.event("indexed", usable=index.height, rejected=rejected.height)


def _require_folds(index: pl.DataFrame, study: Study, listing: Listing) -> None:
    """What makes folds impossible by the table alone, told before hours of decoding."""
    torn = contradictions(index)
    alone = study.task == "retrieve" and study.videos.item is None  # one video under two names
    if not torn.is_empty() and not alone:
        named = "; ".join(
            f"{', '.join(row['paths'])} ({' and '.join(row['labels'])})"
            for row in torn.head(10).iter_rows(named=True)
        )
        what = "items" if study.task == "retrieve" else "labels"
        raise StudyError(
            f"{torn.height} videos have the same content and different {what}: {named}"
        )
    if listing.folds.width:
        videos = index.join(listing.folds, on="path", how="left", maintain_order="left")
        require_together(videos, of_one_content(index))
        folds = listing.judged_folds(None)
        where = str(study.videos.table)
        require_sides(videos, folds=folds, classes=listing.classes, where=where)
        return
    groups = join_groups(index["video_id"].to_list(), index["group"].to_list())
    labels, count = index["label"].to_list(), len(listing.judged_folds(study.folds.count))
    require_groups(labels, groups, count=count, classes=listing.classes)
    if study.task == "retrieve":
        assign_groups(groups, count=count, seed=study.seed)


def slice_size(items: int, *, most: int) -> int:
    """Items per unit: an eighth of few, ``most`` of many; it does not depend on the machine."""
    return max(1, min(most, -(-items // 8)))


def limit_seconds(
    study: Study, *, file_bytes: int = 0, duration_seconds: float | None = None
) -> float:
    """How long a video may take; where its duration is not known, by its bytes (8.5 Mbit/s)."""
    minutes = (duration_seconds or 0) / 60 if duration_seconds else file_bytes / MINUTE_BYTES
    return study.videos.time_limit * max(1.0, minutes)


def _bytes_of(path: Path) -> int:
    try:
        return file_of(path).stat().st_size
    except OSError:  # it is said when it is opened
        return 0


def _stamp(path: Path) -> list[int]:
    try:
        status = file_of(path).stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _slice_file(run: Run, name: str) -> Path:
    return run.store / "index" / f"{name}.parquet"


_SLICE_SCHEMA: dict[str, Any] = {
    "file": pl.String,
    "video_id": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "fps": pl.Float64,
    "frame_count": pl.Int64,
    "duration_seconds": pl.Float64,
    "codec": pl.String,
    "pixel_format": pl.String,
    "bit_rate": pl.Int64,
    "rotation": pl.Int32,
    "pixel_aspect": pl.Float64,
    "colour_matrix": pl.String,
    "colour_tagged": pl.Boolean,
    "hdr": pl.Boolean,
    "strategy": pl.String,
    "file_bytes": pl.Int64,
    "reason": pl.String,
    "detail": pl.String,
}

"""The handcrafted features of each clip, once for all folds, models and runs.

Reads ``clips.parquet``, the shards -> writes ``features.parquet``.
Runs again for shards that the store has no features of. Peak memory: one clip.
"""

from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.files import digest, write_whole
from reelfit.runs import Run
from reelfit.stages.clips import CONTAINER, Clips
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study


@final
class Features(Stage):
    """One unit per shard; a study without a model on features needs none."""

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 1
    items: ClassVar[str] = "clips"
    reads: ClassVar[tuple[str, ...]] = ("clips",)
    writes: ClassVar[tuple[str, ...]] = ("features.parquet",)

    def settings(self, study: Study) -> Any:
        """None of its own: the clips say it all."""
        return Clips().settings(study)

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The shards of this run's clips that the store has no features of."""
        clips = pl.read_parquet(run.file("clips.parquet"))
        counts = clips.group_by("shard").len().sort("shard").rows()
        return [
            Unit(self.name, shard.removesuffix(".tar"), count, {"shard": shard})
            for shard, count in counts
            if not self._file(run, study, shard).exists()
        ]

    def _file(self, run: Run, study: Study, shard: str) -> Path:
        key = digest([self.version, Clips.version, self.settings(study)])[:32]
        return run.store / "features" / key / shard.replace(".tar", ".parquet")

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """The features of each clip of one shard."""
        from reelfit.data.shards import ShardReader
        from reelfit.features import clip_features

        shard = unit.facts["shard"]
        folder = Clips().folder(run, study)
        stored = pl.read_parquet(folder / shard.replace(".tar", ".parquet"))
        clips = stored.filter(pl.col("reason").is_null()).rows(named=True)
        rows = []
        with ShardReader(folder) as reader:
            for number, clip in enumerate(clips, 1):
                pixels = reader.read(shard, offset=clip["offset"], num_bytes=clip["bytes"])
                found = clip_features(pixels, **{name: clip[name] for name in CONTAINER})
                rows.append({"video_id": clip["video_id"], "copy": clip["copy"], **found})
                context.report_progress(number, max(unit.items, len(clips)))
        frame = pl.DataFrame(rows).with_columns(pl.col("copy").cast(pl.Int32))
        write_whole(self._file(run, study, shard), frame.write_parquet)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """One row per clip of this run, in the order of the clips."""
        from reelfit.data.tables import features_schema, write_table
        from reelfit.features import FEATURE_NAMES

        clips = pl.read_parquet(run.file("clips.parquet")).select("video_id", "copy", "shard")
        shards = clips["shard"].unique().sort().to_list()
        found = pl.concat([pl.read_parquet(self._file(run, study, shard)) for shard in shards])
        table = clips.select("video_id", "copy").join(
            found, on=["video_id", "copy"], maintain_order="left"
        )
        table = table.select("video_id", "copy", *FEATURE_NAMES)
        write_table(table, run.file("features.parquet"), features_schema(FEATURE_NAMES))

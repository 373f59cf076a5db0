"""The pairs of videos that look alike, with their frames, for the report."""

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from reelfit.data.shards import ShardReader
    from reelfit.report.content import Frames, LookAlike


def look_alikes(
    duplicates: pl.DataFrame, clips: pl.DataFrame, reader: "ShardReader"
) -> list["LookAlike"]:
    """As many pairs as the report has pictures of. Memory: their clips."""
    from reelfit.report.content import LookAlike
    from reelfit.report.duplicates import PAIRS_SHOWN, ordered_pairs

    alike = duplicates.filter(pl.col("kind") == "look")
    shown = ordered_pairs(alike).head(PAIRS_SHOWN)
    originals = {
        row["video_id"]: row for row in clips.filter(pl.col("copy") == 0).iter_rows(named=True)
    }

    def frames_of(video_id: str) -> "Frames":
        clip = originals[video_id]
        return reader.read(clip["shard"], offset=clip["offset"], num_bytes=clip["bytes"])

    return [
        LookAlike(
            path=row["path"],
            label=row["label"],
            frames=frames_of(row["video_id"]),
            other_path=row["other_path"],
            other_label=row["other_label"],
            other_frames=frames_of(row["other_id"]),
            distance=row["distance"],
        )
        for row in shown.iter_rows(named=True)
    ]

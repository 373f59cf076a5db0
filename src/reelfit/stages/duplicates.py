"""The pairs of videos that have one content or look alike, in one set and across two."""

import polars as pl

from reelfit.data.duplicates import Fingerprints, as_fingerprints, near_pairs
from reelfit.runs import Run


def of_one_content(index: pl.DataFrame) -> pl.DataFrame:
    """The first row of each video with each of its others."""
    first = index.unique("video_id", keep="first", maintain_order=True)
    others = index.join(first, on="path", how="anti", maintain_order="left")
    pairs = _named(first).join(
        _named(others, "other_").with_columns(video_id=pl.col("other_id")), on="video_id"
    )
    kind, none = pl.lit("content").alias("kind"), pl.lit(0, pl.Int32).alias("distance")
    return pairs.sort("path", "other_path").with_columns(kind, none).select(_COLUMNS)


def that_look_alike(run: Run, index: pl.DataFrame, most_bits: int | None) -> pl.DataFrame:
    """The pairs of videos whose frames look alike, the nearest first."""
    videos, fingerprints = _with_fingerprints(run, index)
    pairs = []
    if most_bits is not None:
        pairs = near_pairs(fingerprints, most_bits=most_bits)
    first, second, distances = zip(*pairs, strict=True) if pairs else ((), (), ())
    return (
        pl.concat(
            [_named(videos)[list(first)], _named(videos, "other_")[list(second)]], how="horizontal"
        )
        .with_columns(pl.lit("look").alias("kind"), distance=pl.Series(distances, dtype=pl.Int32))
        .sort("distance", "path", "other_path")
        .select(_COLUMNS)
    )


def that_are_in(
    run: Run, inside: Run, index: pl.DataFrame, *, most_bits: int | None
) -> pl.DataFrame:
    """The videos of ``index``, those of ``inside``, that ``run`` has, too: the nearest of each.

    Columns: video_id, kind, distance, and the path of the other one as ``with``.
    """
    own = pl.read_parquet(run.file("index.parquet")).sort("video_id", "path")
    same = index.join(own.select("video_id", pl.col("path").alias("with")), on="video_id")
    none = pl.lit(0, pl.Int32).alias("distance")
    found = same.select("video_id", pl.lit("content").alias("kind"), none, "with")
    if most_bits is not None:
        videos, fingerprints = _with_fingerprints(run, own)
        others, beside = _with_fingerprints(inside, index)
        pairs = near_pairs(fingerprints, most_bits=most_bits, others=beside)
        first, second, distances = zip(*pairs, strict=True) if pairs else ((), (), ())
        alike = others[list(second)].select("video_id", pl.lit("look").alias("kind"))
        alike = alike.with_columns(
            pl.Series("distance", distances, dtype=pl.Int32),
            videos[list(first)]["path"].alias("with"),
        )
        found = pl.concat([found, alike])
    nearest = found.sort("video_id", pl.col("kind") == "look", "distance", "with")
    return nearest.unique("video_id", keep="first", maintain_order=True)


def _with_fingerprints(run: Run, index: pl.DataFrame) -> tuple[pl.DataFrame, Fingerprints]:
    """The distinct videos of ``index`` that were decoded, and what they look like."""
    from reelfit.data.tables import FINGERPRINTS, read_table

    told = read_table(run.file("fingerprints.parquet"), FINGERPRINTS)
    videos = index.unique("video_id", keep="first", maintain_order=True).join(
        told, on="video_id", maintain_order="left"
    )
    return videos, as_fingerprints(videos["fingerprint"].to_list())


def _named(index: pl.DataFrame, prefix: str = "") -> pl.DataFrame:
    """Of each row what a pair says of a video, under the names that the second one has there."""
    identity = pl.col("video_id").alias("other_id" if prefix else "video_id")
    return index.select(identity, pl.col("path", "label", "group").name.prefix(prefix))


_COLUMNS = [
    *("kind", "distance", "video_id", "path", "label", "group"),
    *("other_id", "other_path", "other_label", "other_group"),
]

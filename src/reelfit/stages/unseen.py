"""Which videos of another set the study has, too: models that have seen them know their answers."""

import polars as pl

from reelfit.data.folds import join_groups
from reelfit.runs import Run
from reelfit.stages.duplicates import of_one_content, that_are_in, that_look_alike

OF_OTHERS = "videos.parquet"


def usable_clips(inside: Run) -> pl.DataFrame:
    """The clips of another set's videos by video_id, without those that have no features."""
    rejected = pl.read_parquet(inside.file("rejected.parquet")).filter(
        pl.col("stage") == "features"
    )
    index = pl.read_parquet(inside.file("index.parquet"))
    without = index.join(rejected, on="path", how="semi")  # another path may have its content
    clips = pl.read_parquet(inside.file("clips.parquet")).filter(pl.col("copy") == 0)
    return clips.join(without, on="video_id", how="anti").sort("video_id")


def settle_videos(run: Run, inside: Run, *, most_bits: int | None) -> pl.DataFrame:
    """``videos.parquet`` and ``duplicates.parquet`` of another set, whose videos it gives back.

    Groups are joined as the study's own are. ``shared`` says of a video what it has in common with
    one of the study, whose path is ``with``; of the others of its group, ``group``.
    """
    from reelfit.data.evaluation_tables import OTHER_VIDEOS
    from reelfit.data.tables import DUPLICATES, write_table

    index = pl.read_parquet(inside.file("index.parquet"))
    index = index.join(usable_clips(inside), on="video_id", how="semi").sort("video_id", "path")
    alike = that_look_alike(inside, index, most_bits)
    duplicates = pl.concat([of_one_content(index), alike]).select(*DUPLICATES.columns)
    write_table(duplicates, inside.file("duplicates.parquet"), DUPLICATES)
    tied = list(alike.select("video_id", "other_id").iter_rows())
    groups = join_groups(index["video_id"].to_list(), index["group"].to_list(), alike=tied)
    videos = index.with_columns(group=pl.Series(groups, dtype=pl.String)).unique(
        "video_id", keep="first", maintain_order=True
    )
    shared = that_are_in(run, inside, videos, most_bits=most_bits).rename({"kind": "shared"})
    videos = videos.join(shared, on="video_id", how="left", maintain_order="left")
    tainted = videos.filter(pl.col("shared").is_not_null())
    tainted = tainted.unique("group", keep="first", maintain_order=True)
    by_group = dict(tainted.select("group", "with").iter_rows())
    alone = pl.col("shared").is_null() & pl.col("group").is_in(list(by_group))
    classes = run.facts()["classes"]
    numbers = {label: number for number, label in enumerate(classes)}
    targets = [numbers[label] for label in videos["label"]]
    table = videos.with_columns(
        pl.when(alone).then(pl.lit("group")).otherwise("shared").alias("shared"),
        pl.when(alone)
        .then(pl.col("group").replace_strict(by_group, default=None, return_dtype=pl.String))
        .otherwise("with")
        .alias("with"),
        target=pl.Series(targets, dtype=pl.Int32),
    ).select(*OTHER_VIDEOS.columns)
    write_table(table, inside.file(OF_OTHERS), OTHER_VIDEOS)
    return table

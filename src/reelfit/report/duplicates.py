"""Which videos look alike or are the same, in words, in pictures and as a table."""

from typing import Any

import polars as pl

from reelfit.data.folds import join_groups
from reelfit.report.content import LookAlike, RunContent
from reelfit.report.pictures import strip_picture
from reelfit.report.tables import LONGEST_LIST, Cell, Table
from reelfit.report.wording import count, number

PAIRS_SHOWN = 12
"""Pairs with pictures: 24 pictures of 4 frames, some 250 KiB together."""
FRAMES_SHOWN = 4


def ordered_pairs(duplicates: pl.DataFrame) -> pl.DataFrame:
    """Pairs of different labels first, then those that joined groups, then the nearest."""
    return duplicates.sort(
        pl.col("label") == pl.col("other_label"),
        pl.col("group") == pl.col("other_group"),
        "distance",
        "path",
        "other_path",
    )


def duplicates_words(content: RunContent, *, labelled: bool) -> list[str]:
    """What was found and what became of it, in sentences; those of labels come first."""
    pairs = content.duplicates
    alike = pairs.filter(pl.col("kind") == "look")
    torn = alike.filter(pl.col("label") != pl.col("other_label"))
    words = []
    if torn.height and labelled:
        words.append(
            f"{count(torn.height, 'pair')} with different labels: where one class is made by "
            "changing videos of the other, as forgeries are, a video and its original look alike "
            "and belong on one side. Elsewhere one of the two labels may be wrong."
        )
    if alike.height:
        words.append(
            f"{count(alike.height, 'pair')} of videos look alike{_joined(alike)}. The two of a "
            "pair are on one side of each fold."
        )
    same = pairs.height - alike.height
    if same:
        rows = "row of the table has" if same == 1 else "rows of the table have"
        words.append(f"{same:,} {rows} the content of another; it was taken once.")
    return words


def _joined(alike: pl.DataFrame) -> str:
    """How many groups of the user's table the pairs tie together."""
    numbers = [str(number) for number in range(alike.height)]
    groups = alike["group"].to_list() + alike["other_group"].to_list()
    joined = join_groups(numbers * 2, groups)
    before, after = len(set(groups)), len(set(joined))
    if before == after:
        return ", each of two in one group of the table"
    return f"; they tie {count(before, 'group')} of the table into {number(after, 0)}"


def duplicates_pictures(content: RunContent, *, labelled: bool) -> list[dict[str, Any]]:
    """The pairs with pictures, at most a dozen."""
    return [_pictured(pair, labelled=labelled) for pair in content.look_alikes[:PAIRS_SHOWN]]


def _pictured(pair: LookAlike, *, labelled: bool) -> dict[str, Any]:
    step = max(1, len(pair.frames) // FRAMES_SHOWN)
    places = slice(step // 2, None, step)
    return {
        "distance": count(pair.distance, "bit"),
        "differ": labelled and pair.label != pair.other_label,
        "videos": [
            {"path": path, "label": label, "picture": strip_picture(frames[places][:FRAMES_SHOWN])}
            for path, label, frames in (
                (pair.path, pair.label, pair.frames),
                (pair.other_path, pair.other_label, pair.other_frames),
            )
        ],
    }


def duplicates_table(content: RunContent, *, labelled: bool) -> Table:
    """Each pair, with the labels and groups that the user gave."""
    listed = ordered_pairs(content.duplicates).head(LONGEST_LIST)
    body = [
        [
            Cell(row["path"], f"{row['label']}, group {row['group']}"),
            Cell(row["other_path"], f"{row['other_label']}, group {row['other_group']}"),
            Cell(*_kind(row, labelled=labelled)),
            Cell(number(row["distance"], 0)),
        ]
        for row in listed.to_dicts()
    ]
    more = content.duplicates.height - listed.height
    rest = f" The other {more:,} stand in duplicates.parquet." if more else ""
    columns = ["Video", "Looks like", "What they share", "Bits apart"]
    order = "those with different labels first" if labelled else "those of different items first"
    return Table(f"Each pair, {order}.{rest}", columns, body, 3)


def _kind(row: dict[str, Any], *, labelled: bool) -> tuple[str, str, bool]:
    """What two videos share, without a note, and whether that stands out."""
    torn = labelled and row["label"] != row["other_label"]
    if row["kind"] == "content":
        return "content", "", torn
    return "look, with different labels" if torn else "look", "", torn

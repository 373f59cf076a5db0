"""What a fold of videos and texts leaves to be judged by, and how it is read again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.files import write_whole

if TYPE_CHECKING:
    import numpy as np

    from reelfit.training.item_set import ItemTexts
    from reelfit.training.paired import Embedded


@dataclass(frozen=True, eq=False)
class Kept:
    """The embeddings of a fold's items and texts, and which belong together.

    ``items``: target, item, group. ``texts``: text. ``pairs``: the rows of both.
    """

    items: pl.DataFrame
    texts: pl.DataFrame
    pairs: pl.DataFrame
    videos: "np.ndarray"
    text_features: "np.ndarray"
    generated: list[str] | None

    @property
    def right_texts(self) -> list[list[int]]:
        """Of each item the rows of its texts."""
        return self.pairs.group_by("item", maintain_order=True).agg("text")["text"].to_list()


def keep_embedded(
    folder: Path, rows: pl.DataFrame, texts: "ItemTexts", embedded: "Embedded"
) -> None:
    """Writes them; ``rows`` stand in the order of their samples."""
    items = rows.unique("target", keep="first", maintain_order=True).select(
        "target", pl.col("label").alias("item"), "group"
    )
    _write(folder / "items.parquet", items)
    _write(folder / "texts.parquet", pl.DataFrame({"text": texts.texts}))
    pairs = [(item, int(row)) for item in range(items.height) for row in texts.of(item)]
    schema = {"item": pl.Int64, "text": pl.Int64}
    _write(folder / "pairs.parquet", pl.DataFrame(pairs, schema=schema, orient="row"))
    write_whole(folder / "videos.npy", lambda beside: _save(beside, embedded.videos))
    write_whole(folder / "texts.npy", lambda beside: _save(beside, embedded.texts))


def keep_generated(folder: Path, generated: list[str]) -> None:
    """Writes a caption of each item, in the order of ``items.parquet``."""
    _write(folder / "generated.parquet", pl.DataFrame({"generated": generated}))


def read_kept(folder: Path) -> Kept:
    """What ``keep_embedded`` wrote; the embeddings stay on the disk until they are used."""
    import numpy as np

    said = folder / "generated.parquet"
    return Kept(
        pl.read_parquet(folder / "items.parquet"),
        pl.read_parquet(folder / "texts.parquet"),
        pl.read_parquet(folder / "pairs.parquet"),
        np.load(folder / "videos.npy", mmap_mode="r"),
        np.load(folder / "texts.npy", mmap_mode="r"),
        pl.read_parquet(said)["generated"].to_list() if said.exists() else None,
    )


def _write(path: Path, frame: pl.DataFrame) -> None:
    write_whole(path, lambda beside: frame.write_parquet(beside, compression="zstd"))


def _save(path: Path, features: Any) -> None:
    import numpy as np

    with path.open("wb") as opened:
        np.save(opened, features, allow_pickle=False)

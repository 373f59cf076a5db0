"""What the evaluation reads of each model, and where its own pieces wait for the tables."""

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from reelfit.errors import RunError
from reelfit.files import read_json, write_whole
from reelfit.runs import Run

CONTROL = "container facts"
"""What the control is called in results; with its blank it is the name of no model."""
MOST_NAMED = 5
_LAST = "whole.parquet"


class Evaluated(NamedTuple):
    """The folder of the tables that one model's unit leaves."""

    folder: Path

    @property
    def whole(self) -> bool:
        """Whether the unit came to its end."""
        return (self.folder / _LAST).exists()

    def write(self, tables: dict[str, pl.DataFrame]) -> None:
        """Each table under its name; then it is whole."""
        for name, table in tables.items():
            write_whole(self.folder / f"{name}.parquet", table.write_parquet)
        write_whole(self.folder / _LAST, pl.DataFrame().write_parquet)

    def read(self, name: str) -> pl.DataFrame:
        """The table of this name."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


def evaluated(run: Run, key: str, model: str) -> Evaluated:
    """The tables of one model under this key."""
    return Evaluated(run.state / "evaluate" / key[:16] / model)


def predictions_of(run: Run, model: str) -> pl.DataFrame:
    """The out-of-fold predictions of one model, by video_id.

    Raises:
        RunError: some are no numbers; names the model, its folds and the videos.
    """
    folds = run.folds()
    parts = [pl.read_parquet(run.fold(model, fold) / "predictions.parquet") for fold in folds]
    predictions = pl.concat(parts).sort("video_id")
    finite = pl.col("probabilities").list.eval(pl.element().is_finite()).list.all()
    broken = predictions.filter(~finite)
    if broken.height:
        raise RunError(_what_is_broken(broken, model, pl.read_parquet(run.file("folds.parquet"))))
    return predictions


def _what_is_broken(broken: pl.DataFrame, model: str, videos: pl.DataFrame) -> str:
    paths = broken.join(videos.select("video_id", "path"), on="video_id", how="left")["path"]
    named = ", ".join(paths.sort().head(MOST_NAMED).to_list())
    more = f" and {broken.height - MOST_NAMED} more" if broken.height > MOST_NAMED else ""
    folds = ", ".join(str(fold) for fold in broken["fold"].unique().sort())
    return (
        f"the model {model} gave no number as a probability for {broken.height} videos "
        f"(fold {folds}): {named}{more}. Lower its learning rate, or leave it out of models"
    )


def results_of(run: Run, model: str) -> dict[int, dict[str, Any]]:
    """What training left of each fold of one model."""
    folds = run.folds()
    return {fold: read_json(run.fold(model, fold) / "result.json") for fold in folds}

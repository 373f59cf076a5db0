"""Other tables of videos, which a study's trained models are judged on: what is said of each."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from reelfit.data.table_reading import TABLES, check_separator
from reelfit.settings import NAME, Settings

_AS_IN_VIDEOS = ("separator", "path", "label", "group")
"""The columns that are called as in ``videos`` unless something else is said."""


class OtherVideos(Settings):
    """A table of videos that no model of the study has seen; a path alone is taken as its table."""

    name: str = Field(default="", pattern=r"^$|" + NAME)
    """What this set is called in the results; the name of its file by default."""
    table: Path | None = None
    """A CSV, TSV or Parquet table with one row per video, beside the study or absolute."""
    folder: Path | None = None
    """A folder with one folder per class, instead of a table."""
    root: Path | None = None
    """The folder that paths of the table start from; the table's own by default."""
    separator: str | None = None
    """What stands between the cells of a table of text; as in videos, if it is not said."""
    path: str = "path"
    """The column with the path of the video; as in videos, if it is not said."""
    label: str = "label"
    """The column with the class of the video; as in videos, if it is not said."""
    group: str | None = None
    """The column of what is drawn as one for intervals; as in videos, if it is not said."""
    duplicates: Literal["leave_out", "keep"] = "leave_out"
    """Groups with a video that is in the study as well: they are left out, or judged all the
    same."""

    @model_validator(mode="after")
    def _one_source(self) -> "OtherVideos":
        if (self.table is None) == (self.folder is None):
            raise ValueError("give either a table or a folder of videos")
        check_separator(self.separator)
        return self


def as_other_videos(given: Any, videos: Any) -> Any:
    """What stands in a study under ``evaluate_on``, a path or several, as a list of settings.

    ``videos`` is what the study says of its own, from which columns are taken.
    """
    if given is None:
        return []
    columns = {}
    if isinstance(videos, dict):
        columns = {name: videos[name] for name in _AS_IN_VIDEOS if name in videos}
    entries = given if isinstance(given, list | tuple) else [given]
    return [_spelled_out(entry, columns) for entry in entries]


def _spelled_out(entry: Any, columns: dict[str, Any]) -> Any:
    if isinstance(entry, str | Path):
        entry = {"table" if Path(entry).suffix.lower() in TABLES else "folder": str(entry)}
    if not isinstance(entry, dict):
        return entry
    full = {**columns, **entry}
    place = full.get("table") or full.get("folder")
    if not full.get("name") and isinstance(place, str | Path):
        full["name"] = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "_", Path(place).stem).strip("_")
    return full

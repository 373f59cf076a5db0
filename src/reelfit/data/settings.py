"""Which videos there are, and what is kept of each."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reelfit.data.table_reading import check_separator
from reelfit.settings import NO_EFFECT, Settings
from reelfit.video.sample import SAMPLINGS


class VideosSettings(Settings):
    """Where the videos and their labels stand."""

    table: Path | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """A CSV, TSV or Parquet table with one row per video, beside the study or absolute."""
    folder: Path | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """A folder with one folder per class, instead of a table."""
    root: Path | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """The folder that paths of the table start from; the table's own by default."""
    separator: str | None = Field(default=None, json_schema_extra=NO_EFFECT)
    """What stands between the cells of a table of text, one character or several, such as ; or ||;
    null: a comma, in a .tsv a tab."""
    path: str = "path"
    """The column with the path of the video: a file, or an array of frames in a .npy file or, as
    clips.h5::videos/12, in an HDF5 file."""
    label: str = "label"
    """The column with the class of the video."""
    text: str | None = None
    """The column with a right text of the video, for the task retrieve."""
    item: str | None = None
    """The column of what several videos and texts belong to together, such as an examination; null:
    each video by itself. For the task retrieve."""
    group: str | None = None
    """The column of what must stay on one side of a fold, such as the source; null: each alone."""
    on_damage: Literal["reject", "keep_whole_frames"] = "reject"
    """A video with damaged frames among those wanted: left out, or shown by its whole frames."""
    time_limit: float = Field(default=60.0, gt=0, json_schema_extra=NO_EFFECT)
    """Seconds that a minute of video may take to be decoded; a shorter one may take as long."""
    classes: list[str] | None = Field(default=None, min_length=2)
    """The classes in order, the positive one last; by default in sorted order."""

    @model_validator(mode="after")
    def _one_source(self) -> "VideosSettings":
        if (self.table is None) == (self.folder is None):
            raise ValueError("give either a table or a folder of videos")
        return self

    @model_validator(mode="after")
    def _separates(self) -> "VideosSettings":
        check_separator(self.separator)
        return self


Side = Annotated[int, Field(ge=8, le=2048)]


class ClipSettings(Settings):
    """Which frames of a video are kept, at which size, and with which augmentations."""

    frames: int = Field(default=8, ge=1, le=1024)
    """Frames per clip."""
    size: Side | tuple[Side, Side] = 112
    """Height and width of a frame in pixels: one number for a square, or two."""
    copies: int = Field(default=3, ge=0, le=100)
    """Augmented copies of each clip beside the original, seen in training alone."""
    sampling: Literal["uniform", "centre", "random", "every_nth"] = "uniform"
    """Which frames: spread evenly, around the middle, drawn by seed, or every n-th."""
    spread: Literal["time", "index"] = "time"
    """What uniform and random spread over: the time of the video, or the count of its frames."""
    every: int = Field(default=1, ge=1)
    """The distance between frames, for the sampling every_nth."""
    fit: Literal["letterbox", "stretch", "centre_crop", "random_crop"] = "letterbox"
    """How a frame of another shape fills the size; letterbox keeps all of it undistorted."""
    hdr: Literal["tone_map", "reject"] = "tone_map"
    """Videos of a high dynamic range: mapped to a standard one, or left out with that reason."""
    augment: str | dict[str, float] = "standard"
    """A preset (none, light, standard, strong, forgery), or operations with their strengths; online
    is standard with store: originals."""
    store: Literal["copies", "originals"] = "copies"
    """What the disk holds: copies too, or originals alone, which are augmented when they are read,
    in each epoch anew."""
    format: Literal["uint8", "jpeg"] = "uint8"
    """How pixels are stored: as they are, or as JPEGs where the disk is small (store: jpeg)."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """Of those JPEGs."""

    @model_validator(mode="before")
    @classmethod
    def _short_ways(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        full = dict(given)
        if full.get("store") == "jpeg":
            full |= {"store": "copies", "format": "jpeg"}
        if full.get("augment") == "online":
            full |= {"augment": "standard", "store": "originals"}
        return full

    @property
    def height_width(self) -> tuple[int, int]:
        """Of a frame, in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


assert SAMPLINGS == ("uniform", "centre", "random", "every_nth")  # the Literal above spells these

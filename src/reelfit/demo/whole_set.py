"""What says that a set stands: the note beside it, written last."""

from collections.abc import Iterable
from pathlib import Path

from reelfit.files import read_json, write_json, write_whole


def stands(folder: Path, key: str) -> bool:
    """Whether the set of this key is there, with its table, its study and every clip."""
    try:
        made = read_json(folder / "demo.json")
    except (OSError, ValueError):
        return False
    beside = [folder / "study.yaml", folder / "videos.csv"]
    clips = [folder / "videos" / name for name in made["clips"]]
    return bool(made["key"] == key) and all(path.exists() for path in beside + clips)


def note_as_whole(folder: Path, key: str, clips: Iterable[Path]) -> None:
    """Says that the set of this key is whole; to be called when all else is written."""
    write_json(folder / "demo.json", {"key": key, "clips": [path.name for path in clips]})


def write_video(path: Path, video: bytes) -> None:
    """Writes a clip whole or not at all; one that stands is left.

    Raises:
        RunError: the disk is full.
    """
    if not path.exists():
        write_whole(path, lambda beside: beside.write_bytes(video))

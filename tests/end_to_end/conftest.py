"""A set small enough to run a whole study several times."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from command_line import STUDY, newest_run, reelfit
from reelfit.demo import make_demo_set
from reelfit.runs import Run


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sources, a duplicate of one of their clips under another group, and two bad files."""
    folder = tmp_path_factory.mktemp("small")
    make_demo_set(folder, sources=6)
    table = pl.read_csv(folder / "videos.csv").select("video_path", "label", "source_id")
    first = table.row(0, named=True)
    shutil.copy(folder / first["video_path"], folder / "videos" / "twin.mp4")
    (folder / "videos" / "text.mp4").write_text("no video")
    (folder / "videos" / "empty.mp4").write_bytes(b"")
    more = [
        {"video_path": "videos/twin.mp4", "label": first["label"], "source_id": "a copy"},
        {"video_path": "videos/text.mp4", "label": 0, "source_id": "text"},
        {"video_path": "videos/empty.mp4", "label": 1, "source_id": "empty"},
    ]
    pl.concat([table, pl.DataFrame(more, schema=table.schema)]).write_csv(folder / "videos.csv")
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture
def copy_of_set(small_set: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The set again under another path, as it was before any run."""

    def copy(name: str) -> Path:
        without_runs = shutil.ignore_patterns("runs")
        return Path(shutil.copytree(small_set, tmp_path / name, ignore=without_runs))

    return copy


@pytest.fixture(scope="session")
def finished(small_set: Path) -> Run:
    """The undisturbed run."""
    done = reelfit("run", small_set / "study.yaml")
    assert done.returncode == 0, done.stderr
    return newest_run(small_set)

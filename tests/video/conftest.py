from pathlib import Path

import pytest

from numbered_video import Recipe, write_video

SHARED = Path(__file__).parents[2].parent / "shared" / "videos"


@pytest.fixture
def make_video(tmp_path):
    """Writes a numbered video: ``make_video("a.mp4", codec="libx264", ...)``."""

    def make(name: str, **settings) -> Path:
        return write_video(tmp_path / name, Recipe(**settings))

    return make


@pytest.fixture
def shared_videos():
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: the real videos are not part of the repository")
    return SHARED

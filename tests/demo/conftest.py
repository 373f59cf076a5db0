from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from reelfit.demo import make_demo_set
from reelfit.demo.camera import film
from reelfit.demo.writing import video_bytes


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of three sources, one for each kind of tampering."""
    return make_demo_set(tmp_path_factory.mktemp("demo"), sources=3).parent


@pytest.fixture(scope="session")
def make_footage() -> Callable[[Path, int], None]:
    def make(path: Path, number: int) -> None:
        picture = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        frames = film(
            picture,
            width=96,
            height=64,
            num_frames=12,
            fps=Fraction(12),
            generator=np.random.default_rng(number),
        )
        path.write_bytes(video_bytes(frames, fps=Fraction(12)))

    return make

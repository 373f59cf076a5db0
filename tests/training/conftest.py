"""A training small enough to be run many times, on clips in real shards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from small_training import SmallTraining


@pytest.fixture
def training(tmp_path: Path) -> Callable[..., SmallTraining]:
    """``training("name", epochs=2)``: a training in a folder of its own, on the same clips."""

    def make(name: str, **settings: object) -> SmallTraining:
        return SmallTraining(tmp_path / name, **settings)

    return make

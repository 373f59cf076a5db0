from collections.abc import Callable

import numpy as np
import pytest

from reelfit.data.shards import Clip


@pytest.fixture(scope="session")
def make_clips() -> Callable[..., list[Clip]]:
    """Clips of noise: ``make_clips(3, size=8)``; every second one is an augmented copy."""

    def make(count: int, *, size: int = 8) -> list[Clip]:
        pixels = np.random.default_rng(count).integers(0, 256, (count, 2, 3, size, size), np.uint8)
        return [
            Clip(
                video_id=f"{number // 2:032x}",
                copy=number % 2,
                pixels=pixels[number],
                frames=[number, number + 4],
                augmentation={"blur": {"sigma": 0.1}} if number % 2 else {},
            )
            for number in range(count)
        ]

    return make

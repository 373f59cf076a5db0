"""Sobel's gradient in whole numbers, which sharpness and edges are made of."""

import numpy as np
from jaxtyping import Int16


def gradient_of(
    around: Int16[np.ndarray, "_ _"],
) -> tuple[Int16[np.ndarray, "height width"], Int16[np.ndarray, "height width"]]:
    """The slope to the right and the slope downwards, in levels times eight per pixel.

    ``around`` has one more pixel on each side than they. Source: I. Sobel (1968, printed 2014).
    """
    down = around[:-2] + around[2:]
    down += 2 * around[1:-1]
    across = around[:, :-2] + around[:, 2:]
    across += 2 * around[:, 1:-1]
    return down[:, 2:] - down[:, :-2], across[2:] - across[:-2]

"""Focus: a pasted region is seldom as sharp as its surroundings.

Source: J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy (2000), and
I. Sobel, An isotropic 3 x 3 image gradient operator (1968, printed 2014).
"""

from math import sqrt

import numpy as np

from reelfit.features.feature import FrameFeatures, variance_of
from reelfit.features.frame import Frame
from reelfit.features.gradient import gradient_of


def _measure(frame: Frame) -> tuple[float, ...]:
    """The variance of the Laplacian of four neighbours, then of the length of Sobel's gradient.

    Of the length, in levels times eight per pixel, mean and standard deviation.
    """
    total, squares = 0, 0
    length, length_squares = 0.0, 0
    for band in frame.bands():
        around = frame.around(band, 1).astype(np.int16)
        laplacian = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1]
        laplacian -= 4 * around[1:-1, 1:-1]
        total += int(laplacian.sum(dtype=np.int64))
        squares += int(np.square(laplacian, dtype=np.int32).sum(dtype=np.int64))
        across, down = gradient_of(around)
        squared = np.square(across, dtype=np.int32)
        squared += np.square(down, dtype=np.int32)
        length_squares += int(squared.sum(dtype=np.int64))
        length += float(np.sqrt(squared, dtype=np.float32).sum(dtype=np.float64))
    count = frame.height * frame.width
    return (
        variance_of(count, total, squares),
        length / count,
        sqrt(variance_of(count, length, length_squares)),
    )


SHARPNESS = FrameFeatures(("laplacian_variance", "gradient_mean", "gradient_std"), _measure)

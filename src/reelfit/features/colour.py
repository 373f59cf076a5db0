"""Whether one light falls on all of the frame: what comes from elsewhere brought its own.

Source: after C. Riess and E. Angelopoulou, Scene illumination as an indicator of image
manipulation (2010), who estimate the light of each region; here by its mean colour, the grey world
of G. Buchsbaum, A spatial processor model for object colour perception (1980).
"""

import numpy as np

from reelfit.features.cells import cell_means
from reelfit.features.feature import FrameFeatures
from reelfit.features.frame import Frame


def _measure(frame: Frame) -> tuple[float, ...]:
    """1 less the standard deviation over 16 x 16 cells of the share of each channel in their light.

    A cell's share is (mean of the channel + 1) / (sum of the three means + 3): black is neutral.
    """
    light = np.stack([cell_means(channel) for channel in frame.picture]) + 1
    shares = light / light.sum(axis=0)
    red, green, blue = (1 - float(np.std(share - share[0, 0])) for share in shares)
    return red, green, blue


COLOUR = FrameFeatures(
    ("colour_consistency_red", "colour_consistency_green", "colour_consistency_blue"), _measure
)

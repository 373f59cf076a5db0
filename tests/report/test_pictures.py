import base64
import io

import matplotlib.image
import numpy as np

from reelfit.report.palette import line_of
from reelfit.report.pictures import strip_picture


def pixels_of(address: str) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(address.split(",")[1])), "jpeg")


def test_frames_stand_side_by_side_at_their_own_size():
    levels = np.arange(8, dtype=np.uint8) * 30
    frames = np.broadcast_to(levels[:, None, None, None], (8, 3, 112, 112)).copy()
    picture = strip_picture(frames)
    assert (picture.width, picture.height, picture.shown) == (8 * 112 + 7 * 2, 112, 8)
    pixels = pixels_of(picture.address)
    assert pixels.shape == (112, picture.width, 3)
    shown = [int(pixels[56, 56 + place * 114, 0]) for place in range(8)]
    assert np.abs(np.array(shown) - levels).max() <= 3


def test_large_and_many_frames_are_made_small_and_few():
    picture = strip_picture(np.zeros((50, 3, 240, 480), dtype=np.uint8))
    assert (picture.width, picture.height, picture.shown) == (8 * 112 + 7 * 2, 56, 8)


def test_a_single_tiny_frame_is_a_picture():
    picture = strip_picture(np.zeros((1, 3, 4, 4), dtype=np.uint8))
    assert (picture.width, picture.height, picture.shown) == (4, 4, 1)


def test_no_two_models_have_the_same_line():
    assert len({line_of(rank).css for rank in range(64)}) == 64

"""The two facts of scaling are what ``resize`` does to a picture."""

import pytest
import torch

from reelfit.features.scaling import scaling_features
from reelfit.video.decode import resize


def length_of_a_bar(picture: torch.Tensor, axis: int) -> int:
    """Pixels of the white bar across ``axis`` through the middle of a black picture."""
    return int((picture[0].amax(1 - axis) > 127).sum())


@pytest.mark.parametrize("fit", ["letterbox", "centre_crop", "stretch"])
@pytest.mark.parametrize(
    ("height", "width"), [(48, 64), (200, 200), (96, 240), (240, 96), (64, 300), (128, 128)]
)
def test_what_is_said_of_scaling_is_what_became_of_a_picture(fit, height, width):
    size = 128
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    side = min(height, width) // 2
    top, left = (height - side) // 2, (width - side) // 2
    picture[:, top : top + side, left : left + side] = 255
    scaled = resize(picture, (size, size), fit)
    sides = [length_of_a_bar(scaled, axis) for axis in (0, 1)]
    up, down = scaling_features(width=width, height=height, size=(size, size), fit=fit)
    assert up == float(max(sides) > side + 1)
    assert down == float(min(sides) < side - 1)
    if fit != "stretch":
        assert up + down <= 1

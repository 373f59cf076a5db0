import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image


@pytest.fixture(scope="session")
def clip():
    """A photograph filmed by a camera that moves: 5 frames of odd sides, half the size."""
    photograph = torch.from_numpy(np.array(load_sample_image("flower.jpg"))).permute(2, 0, 1)
    crops = [
        photograph[:, 60 : 60 + 182 : 2, 220 + 8 * k : 220 + 8 * k + 150 : 2] for k in range(5)
    ]
    return torch.stack(crops).contiguous()

import numpy as np
import pytest
from sklearn.datasets import load_sample_image


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """427 x 640 pixels, ``3 height width``: several bands, sides that are no multiple of 8."""
    return np.ascontiguousarray(load_sample_image("china.jpg").transpose(2, 0, 1))

"""The sizes with a name are those of the papers: by their parameters, with 400 classes."""

import pytest
import torch

from reelfit.models import make_model


def count_parameters(name: str, **options: object) -> int:
    with torch.device("meta"):
        network = make_model(name, options).build(num_outputs=400)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "size", "published"),
    [
        ("r3d", 18, 33_371_472),  # torchvision's r3d_18
        ("i3d", "inception", 12_287_264 + 400 * 1025),  # the published code's, and the head
        ("x3d", "XS", 3_794_322),  # pytorchvideo's x3d_xs
        ("x3d", "S", 3_794_322),
        ("x3d", "M", 3_794_322),
        # torchvision's r2plus1d_18, and what it lacks between space and time: see the docstring
        ("r2plus1d", 18, 31_505_325 + 58 * 1538 + 116 * 3074 + 231 * 6146),
    ],
)
def test_a_size_has_exactly_the_parameters_that_were_published(name, size, published):
    assert count_parameters(name, size=size) == published


@pytest.mark.parametrize(
    ("name", "size", "millions"),
    [
        ("r3d", 34, 63.5),  # Hara et al. (2018), table 4, with another first convolution
        ("r2plus1d", 18, 33.3),  # Tran et al. (2018)
        ("r2plus1d", 34, 63.6),  # Feichtenhofer (2020), table 4
        ("i3d", 50, 28.04),  # pytorchvideo's model zoo, as all that follow
        ("slowfast", 50, 34.57),
        ("slowfast", 101, 62.83),
        ("x3d", "M", 3.79),
        ("x3d", "L", 6.15),
    ],
)
def test_a_size_has_as_many_million_parameters_as_was_published(name, size, millions):
    assert count_parameters(name, size=size) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("i3d", "inception"),
        ("i3d", 50),
        ("r2plus1d", 18),
        ("r3d", 18),
        ("slowfast", 50),
        ("x3d", "XS"),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 3, 8, 8), (2, 2, 3, 32, 32), (1, 5, 3, 33, 47)])
def test_a_size_takes_clips_of_any_length_and_size(name, size, shape):
    with torch.device("meta"):
        outputs = make_model(name, {"size": size}).build(num_outputs=4)(torch.empty(shape))
    assert outputs.shape == (shape[0], 4)


@pytest.mark.parametrize(
    ("name", "options", "fewer"),
    [
        ("i3d", {"size": "inception", "width": 0.5}, 3.9),
        ("r2plus1d", {"size": 18, "width": 32}, 4),
        ("r3d", {"size": 18, "width": 0.5}, 4),
        ("slowfast", {"size": 50, "width": 0.5}, 4),
        ("x3d", {"size": "M", "width": 0.5}, 3.1),  # 24 channels become 16
    ],
)
def test_half_the_width_has_a_quarter_of_the_parameters(name, options, fewer):
    whole = count_parameters(name, size=options["size"])
    assert whole / count_parameters(name, **options) == pytest.approx(fewer, rel=0.05)


def test_a_size_of_r2plus1d_gives_way_to_a_width_and_blocks_that_are_given():
    model = make_model("r2plus1d", {"size": 34})
    assert (model.width, model.blocks) == (64, (3, 4, 6, 3))
    model = make_model("r2plus1d", {"size": 34, "width": 24, "blocks": [1, 2]})
    assert (model.width, model.blocks) == (24, (1, 2))
    assert model.smaller().width == 8
    assert model.smaller().smaller() is None

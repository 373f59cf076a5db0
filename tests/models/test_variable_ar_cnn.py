"""The bars of a letterboxed clip: found, and without a say in what comes out."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from reelfit.models import make_model
from reelfit.models.letterbox import PictureNorm, picture_area


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def boxed(clips: torch.Tensor, *, sides: int = 0, ends: int = 0, black: float = -1.0):
    """With bars of so many pixels left and right, and above and below."""
    return F.pad(clips, (sides, sides, ends, ends), value=black)


def network(name: str = "variable_ar_cnn") -> torch.nn.Module:
    torch.manual_seed(0)
    return make_model(name, {"dropout": 0.0}).build(num_outputs=3).double()


@pytest.mark.parametrize(("sides", "ends"), [(0, 0), (3, 0), (0, 11), (8, 8)])
@pytest.mark.parametrize("black", [-1.0, -0.95])
def test_the_picture_is_found_between_its_bars(sides, ends, black):
    clips = boxed(picture(2, 3, 3, 16, 24), sides=sides, ends=ends, black=black)
    found = picture_area(clips, black=-0.9, least=8)
    wanted = F.pad(torch.ones(2, 16, 24), (sides, sides, ends, ends)).bool()
    assert torch.equal(found, wanted)


def test_what_is_dark_inside_or_for_a_while_is_picture():
    clips = picture(1, 3, 3, 16, 16)
    clips[:, :, :, 6:10, 6:10] = -1  # a hole
    clips[:, :, :, 12] = -1  # a line that reaches both borders, with picture below
    clips[:, :2, :, :4] = -1  # a bar that goes in the last frame
    clips[:, :, 1:, :, -3:] = -1  # pure red
    assert picture_area(clips, black=-0.9, least=8).all()


@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_a_clip_of_one_colour_or_with_hardly_a_picture_is_all_picture(value):
    assert picture_area(torch.full((1, 2, 3, 16, 16), value), black=-0.9, least=8).all()
    clips = boxed(picture(1, 2, 3, 7, 16), ends=5)
    assert picture_area(clips, black=-0.9, least=8).all()
    assert not picture_area(clips, black=-0.9, least=7).all()


def test_each_clip_has_its_own_bars():
    wide, high = boxed(picture(1, 2, 3, 8, 16), ends=4), boxed(picture(1, 2, 3, 16, 8), sides=4)
    both = picture_area(torch.cat([wide, high]), black=-0.9, least=8)
    assert torch.equal(both[0], both[1].T)


@pytest.mark.parametrize(("sides", "ends"), [(8, 0), (0, 16), (8, 24)])
@pytest.mark.parametrize("shape", [(16, 24), (19, 13)])
def test_a_clip_has_the_outputs_of_its_picture_cut_out(sides, ends, shape):
    clips, model = picture(2, 3, 3, *shape), network()
    torch.testing.assert_close(
        model(boxed(clips, sides=sides, ends=ends)), model(clips), rtol=0, atol=1e-12
    )
    alike = network("naive_cnn")
    difference = alike(boxed(clips, sides=sides, ends=ends)) - alike(clips)
    assert difference.abs().max() > 0.01


@pytest.mark.parametrize("ends", [1, 13])
def test_what_a_codec_leaves_in_the_bars_changes_nothing(ends):
    clips = boxed(picture(1, 3, 3, 32, 24), ends=ends)
    noisy = clips.clone()
    noisy[..., :ends, :] += 0.09 * picture(ends, 24).abs()
    assert torch.equal(network()(noisy), network()(clips))
    assert not torch.equal(network("naive_cnn")(noisy), network("naive_cnn")(clips))


def test_without_bars_it_is_the_naive_cnn():
    model, alike, clips = network(), network("naive_cnn"), picture(2, 3, 3, 33, 20)
    with torch.no_grad():
        for weights, wanted in zip(model.parameters(), alike.parameters(), strict=True):
            wanted.copy_(weights)
    torch.testing.assert_close(model(clips), alike(clips), rtol=0, atol=1e-12)


def test_the_norm_of_a_whole_picture_is_group_norm():
    maps = picture(2, 16, 5, 7)
    norm, wanted = PictureNorm(8, 16).double(), torch.nn.GroupNorm(8, 16).double()
    whole = torch.ones(2, 5, 7, dtype=torch.bool)
    torch.testing.assert_close(norm(maps, whole), wanted(maps))

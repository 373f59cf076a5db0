"""The two paths, and the ways in which one tells the other."""

import pytest
import torch

from reelfit.models import make_model

LATERALS = ["plain", "attention", "multi_scale"]


def build(lateral: str) -> torch.nn.Module:
    torch.manual_seed(0)
    options = {"lateral": lateral, "width": 0.5, "dropout": 0.0}
    return make_model("slowfast", options).build(num_outputs=3)


def clips(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("lateral", LATERALS)
@pytest.mark.parametrize("frames", [1, 2, 4, 5, 9])
def test_both_paths_fit_each_other_in_clips_of_any_length(lateral, frames):
    outputs = build(lateral)(clips(2, frames, 3, 20, 36))
    assert outputs.shape == (2, 3)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("lateral", LATERALS)
def test_every_parameter_of_a_lateral_learns(lateral):
    network = build(lateral)
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        network(clips(2, 8, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    assert [key for key, p in network.named_parameters() if not p.grad.any()] == []


@pytest.mark.parametrize("lateral", LATERALS)
def test_samples_do_not_see_each_other_in_a_lateral(lateral):
    network, many = build(lateral), clips(3, 6, 3, 32, 32)
    alone = torch.cat([network(clip) for clip in many.split(1)])
    torch.testing.assert_close(network(many), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lateral", LATERALS)
def test_the_slow_path_learns_of_frames_that_it_does_not_see(lateral):
    network = build(lateral)
    with torch.no_grad():
        network.head.weight[:, : -4 * 4 * 2**3] = 1  # of what the slow path ends in
        network.head.weight[:, -4 * 4 * 2**3 :] = 0
    seen = clips(1, 8, 3, 32, 32).requires_grad_()
    features = network(seen)
    features.square().sum().backward()
    assert seen.grad[:, [1, 2, 3, 5, 6, 7]].abs().sum((0, 2, 3, 4)).min() > 0


def test_the_laterals_differ_in_what_they_have_to_learn():
    sizes = {sum(p.numel() for p in build(lateral).parameters()) for lateral in LATERALS}
    assert len(sizes) == len(LATERALS)

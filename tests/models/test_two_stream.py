"""The stream of motion: what it is given, and that it is needed."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from reelfit.models import make_model
from reelfit.models.motion import frame_differences, optical_flow


def texture(side: int, seed: int = 0) -> torch.Tensor:
    """Smooth noise about as bright as a picture."""
    drawn = torch.rand((3, side, side), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.avg_pool2d(F.avg_pool2d(drawn, 7, 1, 3), 7, 1, 3) * 4


def moving(across: int, along: int, *, side: int = 48, frames: int = 4) -> torch.Tensor:
    """One clip of a texture that moves right and down by so many pixels a frame."""
    wide = texture(side + 2 * frames * max(abs(across), abs(along), 1))
    middle = (wide.shape[-1] - side) // 2
    cut = []
    for frame in range(frames):
        top, left = middle - along * frame, middle - across * frame
        cut.append(wide[:, top : top + side, left : left + side])
    return torch.stack(cut)[None]


@pytest.mark.parametrize("motion", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (2, 0)])
def test_flow_is_the_motion_of_the_picture(motion):
    flow = optical_flow(moving(*motion))
    assert flow.shape == (1, 3, 2, 48, 48)
    found = flow[..., 8:-8, 8:-8].mean((0, 1, 3, 4))
    torch.testing.assert_close(found, torch.tensor(motion).float(), rtol=0, atol=0.35)


def test_nothing_flows_where_nothing_moves():
    assert not optical_flow(moving(0, 0)).any()
    assert not optical_flow(moving(0, 0, frames=1)).any()
    assert not frame_differences(moving(0, 0, frames=1)).any()


@pytest.mark.parametrize(("side", "low"), [(1, 1), (56, 56), (57, 29), (224, 56)])
def test_flow_is_found_in_a_small_picture_and_has_no_gradient(side, low):
    flow = optical_flow(torch.rand(1, 3, 3, side, side).requires_grad_())
    assert flow.shape == (1, 2, 2, low, low)
    assert not flow.requires_grad


def test_flow_is_the_same_in_every_batch_and_every_time():
    clips = torch.cat([moving(1, 0), moving(0, 2), moving(-1, -1)])
    together = optical_flow(clips)
    assert torch.equal(together, optical_flow(clips))
    alone = torch.cat([optical_flow(clip) for clip in clips.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 3, 8, 8), (2, 2, 3, 32, 32), (1, 5, 3, 33, 70)])
def test_a_network_on_flow_takes_clips_of_any_length_and_size(shape):
    network = make_model("two_stream", {"motion": "flow"}).build(num_outputs=3)
    outputs = network(torch.rand(shape) * 2 - 1)
    assert outputs.shape == (shape[0], 3)
    outputs.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_a_network_on_flow_tells_left_from_right():
    torch.manual_seed(0)
    network = make_model("two_stream", {"motion": "flow", "channels": [8, 16]}).build(num_outputs=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    clips = torch.cat([moving(1 if number % 2 else -1, 0, side=32) for number in range(2)])
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(network(clips), torch.arange(2)).backward()
        optimizer.step()
    mirrored = network(clips.flip(-1)).argmax(1)
    assert mirrored.tolist() == [1, 0]

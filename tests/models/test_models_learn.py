"""Every network, as it is without options, learns in a few steps what its kind can see."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from reelfit.models import MODELS, make_model
from reelfit.models.model import Network

NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, Network)]
FRAMES, SIDE = 4, 24


def bright_or_dark(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What one frame tells."""
    targets = torch.arange(count) % 2
    noise = torch.rand((count, 1, 3, SIDE, SIDE), generator=generator) - 0.5
    return noise.expand(-1, FRAMES, -1, -1, -1) + _per_clip(targets - 0.5) / 2, targets


def fading_in_or_out(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What no frame by itself tells, nor all of them without their order."""
    targets = torch.arange(count) % 2
    noise = torch.rand((count, 1, 3, SIDE, SIDE), generator=generator) - 0.5
    fading = torch.linspace(-0.5, 0.5, FRAMES).view(1, -1, 1, 1, 1)
    return noise + fading * _per_clip(2 * targets - 1), targets


def moving_or_still(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What only the change from frame to frame tells."""
    targets = torch.arange(count) % 2
    wide = torch.rand((count, 3, SIDE, SIDE + FRAMES), generator=generator) - 0.5
    smooth = 2 * F.avg_pool2d(wide, 3, 1, 1)
    moved = torch.stack([smooth[..., at : at + SIDE] for at in range(FRAMES)], 1)
    still = moved[:, :1].expand_as(moved)
    return torch.where(_per_clip(targets) > 0, moved, still), targets


def _per_clip(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1, 1)


TASKS = dict.fromkeys(NETWORKS, fading_in_or_out) | {
    "frame_difference_cnn": moving_or_still,
    "naive_cnn": bright_or_dark,
    "timesformer": bright_or_dark,  # its class token begins at zero: order takes it 50 steps
    "two_stream": moving_or_still,
    "variable_ar_cnn": bright_or_dark,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_what_its_kind_can_see(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_model(name, {"dropout": 0.0}).build(num_outputs=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(25):
        clips, targets = TASKS[name](8, generator)
        optimizer.zero_grad()
        F.cross_entropy(network(clips), targets).backward()
        optimizer.step()
    clips, targets = TASKS[name](40, generator)
    network.eval()
    with torch.no_grad():
        found = network(clips).argmax(1)
    assert (found == targets).float().mean() > 0.9

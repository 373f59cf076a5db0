"""Tubes are hidden from the first frame to the last, and only they are predicted."""

import pytest
import torch
from torch import Tensor

from reelfit.models import make_model
from reelfit.video_text.masked_video import DRAWN_AT_ONCE, EPSILON, MaskedVideo, draw_tubes

FRAMES, HEIGHT, WIDTH = 5, 22, 31


def made(**options) -> MaskedVideo:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskedVideo(**{"width": 8, "grid": 5, "hidden": 16, "steps": 3} | options)


def clips(count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand((count, FRAMES, 3, HEIGHT, WIDTH), generator=generator) * 2 - 1


@pytest.mark.parametrize(("share", "hidden"), [(0.5, 12), (0.75, 19), (0.04, 1), (0.9, 22)])
def test_the_mask_of_each_clip_has_the_share_that_was_asked(share: float, hidden: int):
    mask = made(share=share).draw(50, torch.Generator().manual_seed(0))
    assert (mask.sum((1, 2)) == hidden).all()
    assert len({tuple(each.flatten().tolist()) for each in mask}) > min(hidden, 20)


def test_each_tube_is_hidden_equally_often():
    mask = made(share=0.4).draw(4000, torch.Generator().manual_seed(0))
    assert (mask.float().mean(0) - 0.4).abs().max() < 0.04


def test_the_same_generator_gives_the_same_mask():
    video = made()
    one, other, third = (video.draw(9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_the_same_whole_patches_are_hidden_in_all_frames_and_nothing_else_changes():
    video, whole = made(), clips()
    hidden, mask = video.masked(whole, torch.Generator().manual_seed(0))
    for clip in range(len(whole)):
        for row in range(HEIGHT):
            for column in range(WIDTH):
                at = (clip, slice(None), slice(None), row, column)
                if mask[clip, row * 5 // HEIGHT, column * 5 // WIDTH]:
                    assert (hidden[at] == 0).all()
                else:
                    assert torch.equal(hidden[at], whole[at])


def test_the_targets_are_the_normalised_means_of_the_pixels_of_each_cell():
    video, whole = made(), clips(2)
    found = video.targets(whole).reshape(2, 5, 5, 3, 3, 2, 2)
    for clip in range(2):
        means = torch.empty(5, 5, 3, 3, 2, 2)
        for place in torch.cartesian_prod(*(torch.arange(size) for size in (5, 5, 3, 2, 2))):
            row, column, step, down, along = place.tolist()
            frames = [at for at in range(FRAMES) if at * 3 // FRAMES == step]
            rows = [at for at in range(HEIGHT) if at * 10 // HEIGHT == row * 2 + down]
            columns = [at for at in range(WIDTH) if at * 10 // WIDTH == column * 2 + along]
            pixels = whole[clip][frames][:, :, rows][..., columns]
            means[row, column, step, :, down, along] = pixels.mean((0, 2, 3))
        expected = (means - means.mean()) / (means.var(correction=0) + EPSILON).sqrt()
        assert torch.allclose(found[clip], expected, atol=1e-5)


def test_a_clip_without_structure_has_targets_of_nearly_zero():
    flat = torch.full((1, FRAMES, 3, HEIGHT, WIDTH), 0.3)
    flat[0, 0, 0, 0, 0] += 1e-4
    assert made().targets(flat).abs().max() < 0.01


def test_the_loss_counts_hidden_tubes_alone():
    video, whole = made(), clips()
    _, mask = video.masked(whole, torch.Generator().manual_seed(0))
    features = torch.randn(4, 8)
    before = video.losses(features, whole, mask)
    errors = (
        video.predict(video.seen(features)[:, None] + video.tube.weight) - video.targets(whole)
    ).square()
    by_hand = torch.stack([errors[clip][mask[clip].flatten()].mean() for clip in range(4)])
    assert torch.allclose(before, by_hand)
    before.sum().backward()
    seen = mask.flatten(1).any(0)
    gradient = video.tube.weight.grad
    assert gradient is not None
    assert torch.equal(gradient.abs().sum(1) > 0, seen)
    one = mask[:1]
    assert not one.all()
    video.tube.weight.grad = None
    video.losses(features[:1], whole[:1], one).sum().backward()
    gradient = video.tube.weight.grad
    assert torch.equal(gradient.abs().sum(1) > 0, one.flatten())


def test_the_loss_reaches_the_features_and_each_clip_its_own_alone():
    video, whole = made(), clips()
    _, mask = video.masked(whole, torch.Generator().manual_seed(0))
    features = torch.randn((4, 8), requires_grad=True)
    video.losses(features, whole, mask)[2].backward()
    assert features.grad is not None
    assert features.grad[2].abs().min() > 0
    assert features.grad[[0, 1, 3]].abs().max() == 0
    assert all(parameter.grad is not None for parameter in video.parameters())


def test_a_share_of_nothing_and_clips_too_small_are_errors():
    for share in (0.0, 0.01, 0.99, 1.0):
        with pytest.raises(ValueError, match="hides none or all of 25"):
            made(share=share)
    for small in (clips()[:, :2], clips()[..., :9, :], clips()[..., :9]):
        with pytest.raises(ValueError, match="cannot be cut into 3 steps of 10 x 10 cells"):
            made().targets(small)


def moving_bars(count: int, generator: torch.Generator) -> Tensor:
    """A bright bar on dark, of one of three colours, upright or lying, moving across the clip."""
    frames, side = 4, 32
    made_clips = torch.full((count, frames, 3, side, side), -0.6)
    for clip, kind in enumerate(torch.randint(6, (count,), generator=generator).tolist()):
        for frame in range(frames):
            rows = slice(8 * frame, 8 * frame + 8)
            shown = made_clips[clip, frame, kind % 3]
            (shown if kind < 3 else shown.T)[rows] = 0.8
    return made_clips


def test_a_network_learns_to_tell_what_is_hidden():
    """Half of the hidden cells' variance, of clips that were not learnt from."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_model("naive_cnn", {"dropout": 0.0, "channels": [16, 32]}).build(
            num_outputs=32
        )
        video = MaskedVideo(width=32, grid=4, share=0.5, steps=4, cells=2, hidden=64)
    optimizer = torch.optim.AdamW([*network.parameters(), *video.parameters()], lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def losses(count: int) -> Tensor:
        whole = moving_bars(count, generator)
        hidden, mask = video.masked(whole, generator)
        return video.losses(network(hidden), whole, mask)

    with torch.no_grad():
        before = losses(32).mean().item()
    for _ in range(80):
        optimizer.zero_grad()
        losses(8).mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = losses(32).mean().item()
    assert before > 0.9
    assert after < 0.5


def test_a_step_of_more_clips_than_are_drawn_at_once_hides_as_much_of_each():
    count = DRAWN_AT_ONCE + 3
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 5, 6)]
    one, again, other = (draw_tubes(count, grid=4, hidden=7, generator=g) for g in generators)
    assert one.shape == (count, 4, 4)
    assert (one.sum((1, 2)) == 7).all()
    assert one.equal(again)
    assert not one.equal(other)
    assert not one[:3].equal(one[-3:])

"""Clips are mixed with partners of their own step, as drawn, whatever the micro-batch."""

import itertools

import numpy as np
import pytest
import torch

from reelfit.training.mixing import Mixing, Mixture, as_input, mixed_batch, take_mixed

CPU = torch.device("cpu")
BOTH = Mixing(seed=5, mixup=0.4, cutmix=1.0)


def drawn(
    mixing: Mixing = BOTH, *, epoch: int = 2, position: int = 24, samples: int = 8
) -> Mixture:
    return mixing.draw(epoch=epoch, position=position, samples=samples, size=(12, 20))


def clips_and_targets(samples: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    clips = torch.randint(0, 256, (samples, 3, 3, 12, 20), generator=generator, dtype=torch.uint8)
    return clips, torch.nn.functional.one_hot(torch.arange(samples) % 3, 3).float()


def same(one: Mixture, other: Mixture) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_mixture_is_a_function_of_seed_epoch_and_position_alone() -> None:
    assert same(drawn(), drawn())
    for other in (drawn(epoch=3), drawn(position=32), drawn(Mixing(6, 0.4, 1.0))):
        assert not same(drawn(), other)


@pytest.mark.parametrize("samples", [2, 3, 8, 31])
def test_every_sample_is_the_partner_of_one_other(samples: int) -> None:
    partners = drawn(samples=samples).partners
    assert sorted(partners) == list(range(samples))
    assert all(partner != own for own, partner in enumerate(partners))


def test_mixup_blends_whole_clips_and_cutmix_leaves_the_share_that_its_box_does() -> None:
    blended = drawn(Mixing(5, 0.4, None), samples=100)
    assert not blended.boxes.any()
    assert ((blended.shares > 0) & (blended.shares < 1)).all()
    cut = drawn(Mixing(5, None, 1.0), samples=100)
    top, bottom, left, right = cut.boxes.T
    assert (cut.boxes >= 0).all()
    assert (bottom <= 12).all()
    assert (right <= 20).all()
    np.testing.assert_allclose(cut.shares, 1 - (bottom - top) * (right - left) / (12 * 20))
    both = drawn(samples=100)
    assert 30 < both.boxes.any(1).sum() < 70


def test_a_smaller_parameter_mixes_less() -> None:
    def least_share(alpha: float) -> float:
        shares = drawn(Mixing(5, alpha, None), samples=500).shares
        return float(np.minimum(shares, 1 - shares).mean())

    assert least_share(0.05) < 0.1 < least_share(1.0) < 0.3 < least_share(8.0)


@pytest.mark.parametrize("mixing", [Mixing(5, 0.4, None), Mixing(5, None, 1.0), BOTH])
@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_pixels_and_targets_are_those_of_the_formula_however_the_step_is_cut(
    mixing: Mixing, micro_batch: int
) -> None:
    clips, targets = clips_and_targets()
    mixture = drawn(mixing)
    pixels = clips.double() / 127.5 - 1
    wanted, wanted_targets = pixels.clone(), targets.clone()
    for own, (partner, share, box) in enumerate(
        zip(mixture.partners, mixture.shares, mixture.boxes, strict=True)
    ):
        top, bottom, left, right = box
        if box.any():
            inside = np.s_[:, :, top:bottom, left:right]
            wanted[own][inside] = pixels[partner][inside]
        else:
            wanted[own] = share * pixels[own] + (1 - share) * pixels[partner]
        wanted_targets[own] = share * targets[own] + (1 - share) * targets[partner]
    batch = mixed_batch(clips, targets, mixture)
    bounds = [(b, min(b + micro_batch, 8)) for b in range(0, 8, micro_batch)]
    parts = [as_input(take_mixed(batch, *each), CPU) for each in bounds]
    torch.testing.assert_close(
        torch.cat([part[0] for part in parts]).double(), wanted, rtol=0, atol=1e-6
    )
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), wanted_targets)
    whole = as_input(batch, CPU)
    for found, together in zip(zip(*parts, strict=True), whole, strict=True):
        assert torch.equal(torch.cat(found), together)


def test_a_part_may_be_cut_again_and_keeps_its_partners() -> None:
    batch = mixed_batch(*clips_and_targets(), drawn())
    again = take_mixed(take_mixed(batch, 2, 7), 1, 4)
    for found, wanted in zip(as_input(again, CPU), as_input(batch, CPU), strict=True):
        assert torch.equal(found, wanted[3:6])


def test_mixing_leaves_the_clips_and_takes_the_bytes_of_no_other_batch() -> None:
    clips, targets = clips_and_targets()
    before = clips.clone()
    batch = mixed_batch(clips, targets, drawn())
    part = take_mixed(batch, 3, 5)
    as_input(part, CPU)
    assert torch.equal(clips, before)
    assert part[0].untyped_storage().data_ptr() == clips.untyped_storage().data_ptr()
    assert part[2].whole is clips


def test_a_sample_that_is_alone_in_its_step_stays_as_it_is() -> None:
    clips, targets = clips_and_targets(1)
    for mixing in (Mixing(5, 0.4, None), Mixing(5, None, 1.0)):
        found = as_input(mixed_batch(clips, targets, drawn(mixing, samples=1)), CPU)
        assert torch.equal(found[0], as_input((clips, targets), CPU)[0])
        assert torch.equal(found[1], targets)


def test_targets_stay_a_distribution() -> None:
    for position in itertools.islice(itertools.count(0, 8), 5):
        _, targets, _ = mixed_batch(*clips_and_targets(), drawn(position=position))
        assert (targets >= 0).all()
        torch.testing.assert_close(targets.sum(1), torch.ones(8))

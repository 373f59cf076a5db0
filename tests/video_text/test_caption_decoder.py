"""The decoder of captions sees what stands before, what is present, and nothing else."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from reelfit.memory.rungs import applied
from reelfit.video_text.caption_decoder import CaptionDecoder, caption_losses

VOCABULARY, LENGTH, MEMORY = 11, 7, 6
PAD, BEGIN, END = 0, 1, 2


def made(*, dropout: float = 0.0, tied: bool = True) -> CaptionDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = CaptionDecoder(
            vocabulary=VOCABULARY,
            width=16,
            layers=2,
            heads=4,
            length=LENGTH,
            memory_width=MEMORY,
            dropout=dropout,
            tied=tied,
        )
        for parameter in decoder.parameters():  # nothing by chance without effect
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


def asked(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(3, VOCABULARY, (3, LENGTH), generator=generator)
    memory = torch.randn((3, 4, MEMORY), generator=generator)
    present = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0]], dtype=torch.bool)
    return tokens, memory, present


@pytest.mark.parametrize("tied", [True, False])
def test_a_later_token_changes_no_earlier_logit_and_does_change_later_ones(tied: bool):
    decoder, (tokens, memory, present) = made(tied=tied), asked()
    before = decoder(tokens, memory, present)
    for place in range(LENGTH):
        other = tokens.clone()
        other[:, place] = 3 + (other[:, place] - 2) % (VOCABULARY - 3)
        after = decoder(other, memory, present)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.isclose(after[:, place:], before[:, place:]).all(-1).any()


def test_padding_never_matters():
    decoder, (tokens, memory, present) = made(), asked()
    tokens[:, 4:] = PAD
    losses = caption_losses(decoder(tokens, memory, present), tokens, pad=PAD)
    short = tokens[:, :4]
    assert torch.allclose(losses, caption_losses(decoder(short, memory, present), short, pad=PAD))
    losses.sum().backward()
    assert decoder.position.weight.grad is not None
    assert decoder.position.weight.grad[4:].abs().max() == 0


@pytest.mark.parametrize("anything", [1e6, float("nan")])
def test_what_is_not_present_in_the_memory_never_matters(anything: float):
    decoder, (tokens, memory, present) = made(), asked()
    before = decoder(tokens, memory, present)
    other = memory.masked_fill(~present[..., None], anything)
    assert torch.equal(decoder(tokens, other, present), before)
    changed = memory + present[..., None] * torch.eye(4, MEMORY)
    assert not torch.isclose(decoder(tokens, changed, present), before).all(-1).any()


def test_a_memory_that_is_longer_by_what_is_not_present_gives_the_same():
    decoder, (tokens, memory, present) = made(), asked()
    longer = torch.cat([memory, torch.randn(3, 5, MEMORY)], 1)
    still = torch.cat([present, torch.zeros(3, 5, dtype=torch.bool)], 1)
    assert torch.allclose(
        decoder(tokens, longer, still), decoder(tokens, memory, present), atol=1e-5
    )


def test_where_nothing_is_present_all_is_finite_and_no_gradient_reaches_the_memory():
    decoder, (tokens, memory, present) = made(), asked()
    memory.requires_grad_()
    present[0] = False
    logits = decoder(tokens, memory, present)
    logits.square().sum().backward()
    assert memory.grad is not None
    assert memory.grad[0].abs().max() == 0
    assert memory.grad[1].abs().max() > 0
    gradients = [parameter.grad for parameter in decoder.parameters()]
    assert all(each is not None and each.isfinite().all() for each in gradients)


def test_the_samples_of_a_batch_do_not_see_each_other():
    decoder, (tokens, memory, present) = made(), asked()
    together = decoder(tokens, memory, present)
    for row in range(3):
        one = slice(row, row + 1)
        alone = decoder(tokens[one], memory[one], present[one])
        assert torch.allclose(alone, together[one], atol=1e-5)


def test_too_many_tokens_and_heads_that_do_not_divide_the_width_are_errors():
    decoder, (tokens, memory, present) = made(), asked()
    with pytest.raises(ValueError, match="8 tokens, but the decoder has 7 places"):
        decoder(torch.cat([tokens, tokens[:, :1]], 1), memory, present)
    with pytest.raises(ValueError, match="10 cannot be shared out to 4 heads"):
        CaptionDecoder(
            vocabulary=5,
            width=10,
            layers=1,
            heads=4,
            length=3,
            memory_width=4,
        )


def test_checkpointing_leaves_the_gradient_as_it_is():
    tokens, memory, present = asked()
    found = []
    for technique in ("plain", "checkpointing"):
        decoder = made(dropout=0.5)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            with applied(decoder, technique):
                logits = decoder(tokens, memory, present)
                caption_losses(logits, tokens, pad=PAD).sum().backward()
        found.append([parameter.grad for parameter in decoder.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_each_caption_is_torchs_over_its_own_tokens_after_the_first(smoothing: float):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((3, LENGTH, VOCABULARY), generator=generator)
    tokens = torch.tensor(
        [
            [BEGIN, 3, 4, 5, 6, 7, END],
            [BEGIN, 8, END, PAD, PAD, PAD, PAD],
            [BEGIN, 3, 3, 9, END, PAD, PAD],
        ]
    )
    found = caption_losses(logits, tokens, pad=PAD, smoothing=smoothing)
    for row, real in enumerate([7, 3, 5]):
        expected = F.cross_entropy(
            logits[row, : real - 1], tokens[row, 1:real], label_smoothing=smoothing
        )
        assert found[row] == pytest.approx(expected.item(), rel=1e-6)


def test_the_loss_by_hand():
    """Of three tokens with logits 0, 0, ln 2: probabilities 1/4, 1/4, 1/2."""
    logits = torch.tensor([0.0, 0.0, 2.0]).clamp(min=1).log().expand(1, 2, 3).clone()
    tokens = torch.tensor([[0, 2]])
    assert caption_losses(logits, tokens, pad=1).item() == pytest.approx(0.693147, abs=1e-6)
    # 0.3 of an even spread: 0.7 ln 2 + 0.1 (ln 4 + ln 4 + ln 2)
    smoothed = caption_losses(logits, tokens, pad=1, smoothing=0.3).item()
    assert smoothed == pytest.approx(0.831777, abs=1e-6)


def test_a_caption_without_a_token_after_its_first_has_a_loss_of_zero():
    logits = torch.randn((1, 3, VOCABULARY), requires_grad=True)
    losses = caption_losses(logits, torch.tensor([[BEGIN, PAD, PAD]]), pad=PAD)
    losses.sum().backward()
    assert losses.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0

"""Captions are those that whoever computes everything anew for each token would write."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from reelfit.video_text.caption_decoder import CaptionDecoder, caption_losses
from reelfit.video_text.generation import generate
from reelfit.video_text.ways import Beam, Greedy, Nucleus

PAD, BEGIN, END = 0, 1, 2
MARKS = {"begin": BEGIN, "end": END, "pad": PAD}
ROWS = 6


def made(*, vocabulary: int = 12, length: int = 9, seed: int = 0) -> CaptionDecoder:
    """A decoder that says many different things, and comes to an end now and then."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = CaptionDecoder(
            vocabulary=vocabulary,
            width=16,
            layers=2,
            heads=2,
            length=length,
            memory_width=8,
            dropout=0.1,
            tied=False,
        )
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.4)
    return decoder.eval()


def looked_at(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    memory = torch.randn((rows, 5, 8), generator=generator)
    present = torch.rand((rows, 5), generator=generator) < 0.7
    present[:, 0] = True
    return memory, present


def generators(rows: range) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + row) for row in rows]


def log_probabilities(
    decoder: CaptionDecoder, tokens: list[int], memory: Tensor, present: Tensor
) -> Tensor:
    """Of the token after these, all of them computed anew."""
    with torch.no_grad():
        logits = decoder(torch.tensor([tokens]), memory[None], present[None])[0, -1]
    logits[[BEGIN, PAD]] = -math.inf
    return logits.log_softmax(-1)


def open_ended(tokens: list[int], length: int) -> bool:
    return tokens[-1] != END and len(tokens) < length


def written_greedily(decoder: CaptionDecoder, memory: Tensor, present: Tensor) -> list[int]:
    tokens = [BEGIN]
    while open_ended(tokens, decoder.length):
        tokens.append(int(log_probabilities(decoder, tokens, memory, present).argmax()))
    return tokens


def drawn_plainly(
    decoder: CaptionDecoder, memory: Tensor, present: Tensor, way: Nucleus, seed: int
) -> list[int]:
    points = torch.rand(
        decoder.length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).tolist()
    tokens = [BEGIN]
    while open_ended(tokens, decoder.length):
        logs = log_probabilities(decoder, tokens, memory, present).double() / way.temperature
        likely = sorted(enumerate(logs.softmax(-1).tolist()), key=lambda pair: -pair[1])
        nucleus, reached = [], 0.0
        while reached < way.top_p and len(nucleus) < len(likely):
            nucleus.append(likely[len(nucleus)])
            reached += nucleus[-1][1]
        left = points[len(tokens)] * reached
        for token, probability in nucleus:  # noqa: B007  the last one is drawn
            left -= probability
            if left < 0:
                break
        tokens.append(token)
    return tokens


def best_of_beams(decoder: CaptionDecoder, memory: Tensor, present: Tensor, way: Beam) -> list[int]:
    """The rule of the beams with lists: (sum, tokens) of those open, and of those that ended."""
    going: list[tuple[float, list[int]]] = [(0.0, [BEGIN])]
    ended: list[tuple[float, list[int]]] = []
    while going and len(going[0][1]) < decoder.length:
        found = []
        for total, tokens in going:
            logs = log_probabilities(decoder, tokens, memory, present).tolist()
            found += [(total + log, [*tokens, token]) for token, log in enumerate(logs)]
        found = [pair for pair in found if pair[0] > -math.inf]
        found.sort(key=lambda pair: -pair[0])
        best = found[: way.beams - len(ended)]
        ended += [pair for pair in best if pair[1][-1] == END]
        going = [pair for pair in best if pair[1][-1] != END]
    return max(ended + going, key=lambda pair: pair[0] / (len(pair[1]) - 1) ** way.length_power)[1]


def as_lists(tokens: Tensor) -> list[list[int]]:
    """Without padding, which must stand behind the end alone."""
    lists = []
    for row in tokens.tolist():
        real = [token for token in row if token != PAD]
        assert row == real + [PAD] * (len(row) - len(real))
        assert real[0] == BEGIN
        assert BEGIN not in real[1:]
        assert END not in real[:-1]
        assert real[-1] == END or len(real) == len(row)
        lists.append(real)
    return lists


def test_greedy_is_what_the_uncached_decoder_finds_likeliest():
    decoder, (memory, present) = made(), looked_at()
    found = as_lists(generate(decoder, memory, present, **MARKS, way=Greedy()))
    assert found == [written_greedily(decoder, *one) for one in zip(memory, present, strict=True)]
    ends = [row[-1] == END for row in found]
    assert any(ends)
    assert not all(ends)  # else neither stopping nor cutting were seen
    assert len({tuple(row) for row in found}) > 3


@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_the_nucleus_is_what_the_uncached_decoder_draws(top_p: float, temperature: float):
    decoder, (memory, present) = made(), looked_at()
    way = Nucleus(top_p=top_p, temperature=temperature)
    found = generate(decoder, memory, present, **MARKS, way=way, generators=generators(range(ROWS)))
    assert as_lists(found) == [
        drawn_plainly(decoder, memory[row], present[row], way, 100 + row) for row in range(ROWS)
    ]


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("length_power", [0.0, 1.0])
def test_beams_are_what_lists_and_the_uncached_decoder_find(beams: int, length_power: float):
    decoder, (memory, present) = made(), looked_at()
    way = Beam(beams=beams, length_power=length_power)
    found = as_lists(generate(decoder, memory, present, **MARKS, way=way))
    assert found == [best_of_beams(decoder, *one, way) for one in zip(memory, present, strict=True)]


@pytest.mark.parametrize("beams", [5, 9])
def test_beams_that_nothing_fills_yet_take_no_place_from_what_goes_on(beams: int):
    """Of one word and an end only two continuations are possible at each place."""
    memory, present = looked_at(12)
    way = Beam(beams=beams)
    for seed in (1, 4):  # what is found late wins there
        decoder = made(vocabulary=4, seed=seed)
        found = as_lists(generate(decoder, memory, present, **MARKS, way=way))
        assert found == [
            best_of_beams(decoder, *one, way) for one in zip(memory, present, strict=True)
        ]


def test_one_beam_is_greedy():
    memory, present = looked_at(32)
    for seed in range(3):
        decoder = made(seed=seed)
        greedy = generate(decoder, memory, present, **MARKS, way=Greedy())
        for power in (0.0, 1.0):
            way = Beam(beams=1, length_power=power)
            assert torch.equal(generate(decoder, memory, present, **MARKS, way=way), greedy)


@pytest.mark.parametrize("length_power", [0.0, 0.6, 1.0])
def test_as_many_beams_as_there_are_captions_find_the_best_of_all(length_power: float):
    """Two words and an end, three tokens at most: 2 x 2 x 3 + 2 + 1 captions, each scored."""
    decoder, (memory, present) = made(vocabulary=5, length=4), looked_at(12)
    captions = [
        [BEGIN, *words, *last]
        for count in range(3)
        for words in itertools.product((3, 4), repeat=count)
        for last in ([[END], [3], [4]] if count == 2 else [[END]])
    ]
    assert len(captions) == 15
    way = Beam(beams=15, length_power=length_power)
    found = as_lists(generate(decoder, memory, present, **MARKS, way=way))
    greedy = as_lists(generate(decoder, memory, present, **MARKS, way=Greedy()))
    better = 0
    for row in range(12):
        scores = {
            tuple(tokens): scored(decoder, tokens, memory[row], present[row], length_power)
            for tokens in captions
        }
        best = scores[tuple(found[row])]
        assert best == pytest.approx(max(scores.values()), abs=1e-5)
        assert best >= scores[tuple(greedy[row])] - 1e-5
        better += best > scores[tuple(greedy[row])] + 1e-3
    assert better  # else it would say nothing


def scored(
    decoder: CaptionDecoder, tokens: list[int], memory: Tensor, present: Tensor, power: float
) -> float:
    total = sum(
        log_probabilities(decoder, tokens[:place], memory, present)[tokens[place]].item()
        for place in range(1, len(tokens))
    )
    return total / (len(tokens) - 1) ** power


@pytest.mark.parametrize("way", [Greedy(), Beam(beams=3), Nucleus()], ids=lambda way: way.how)
def test_a_row_does_not_depend_on_the_others_of_its_batch(way: Greedy | Beam | Nucleus):
    decoder, (memory, present) = made(), looked_at(16)

    def written(rows: range) -> Tensor:
        asked = generators(rows) if isinstance(way, Nucleus) else []
        at = list(rows)
        return generate(decoder, memory[at], present[at], **MARKS, way=way, generators=asked)

    together = written(range(16))
    assert torch.equal(together[list(range(15, -1, -1))], written(range(15, -1, -1)))
    for row in range(16):
        assert torch.equal(written(range(row, row + 1))[0], together[row])


def test_a_nucleus_of_the_likeliest_token_alone_is_greedy():
    decoder, (memory, present) = made(), looked_at()
    greedy = generate(decoder, memory, present, **MARKS, way=Greedy())
    for way in (Nucleus(top_p=1e-9), Nucleus(top_p=1.0, temperature=1e-3)):
        drawn = generate(
            decoder, memory, present, **MARKS, way=way, generators=generators(range(ROWS))
        )
        assert torch.equal(drawn, greedy)


def test_tokens_are_drawn_as_often_as_they_are_likely_and_none_outside_the_nucleus():
    decoder, (memory, present) = made(length=2), looked_at(1)
    rows = 4000
    memory, present = memory.expand(rows, -1, -1), present.expand(rows, -1)
    way = Nucleus(top_p=0.8, temperature=2.0)
    drawn = generate(decoder, memory, present, **MARKS, way=way, generators=generators(range(rows)))
    logs = log_probabilities(decoder, [BEGIN], memory[0], present[0])
    likely = (logs / 2).softmax(-1)
    values, order = likely.sort(descending=True)
    kept = order[: int((values.cumsum(0) < 0.8).sum()) + 1]
    expected = torch.zeros_like(likely)
    expected[kept] = likely[kept] / likely[kept].sum()
    shares = torch.bincount(drawn[:, 1], minlength=len(likely)) / rows
    assert 1 < len(kept) < len(likely) - 2
    assert shares[expected == 0].max() == 0
    assert (shares - expected).abs().max() < 4 * 0.5 / rows**0.5


def test_no_memory_at_all_gives_no_caption():
    memory, present = looked_at()
    for way in (Greedy(), Beam(), Nucleus()):
        found = generate(made(), memory[:0], present[:0], **MARKS, way=way)
        assert found.shape == (0, 9)


def test_a_decoder_in_training_mode_and_a_lack_of_generators_are_errors():
    memory, present = looked_at()
    with pytest.raises(ValueError, match="training mode"):
        generate(made().train(), memory, present, **MARKS, way=Greedy())
    with pytest.raises(ValueError, match="0 generators for 6 captions"):
        generate(made(), memory, present, **MARKS, way=Nucleus())


def test_captions_are_learnt_from_what_the_memory_shows():
    """Eight memories, each with its own caption: every way but drawing wildly writes them."""
    generator = torch.Generator().manual_seed(0)
    memory, present = torch.randn((8, 3, 8), generator=generator), torch.ones(8, 3).bool()
    present[::2, 2] = False
    tokens = torch.full((8, 9), PAD)
    for row in range(8):
        words = torch.randint(3, 12, (2 + row % 5,), generator=generator).tolist()
        tokens[row, : len(words) + 2] = torch.tensor([BEGIN, *words, END])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = CaptionDecoder(
            vocabulary=12,
            width=32,
            layers=2,
            heads=4,
            length=9,
            memory_width=8,
            dropout=0.0,
        )
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        losses = caption_losses(decoder(tokens, memory, present), tokens, pad=PAD, smoothing=0.05)
        losses.mean().backward()
        optimizer.step()
    decoder.eval()
    for way in (Greedy(), Beam(beams=3), Nucleus(top_p=0.5)):
        found = generate(
            decoder, memory, present, **MARKS, way=way, generators=generators(range(8))
        )
        assert torch.equal(found, tokens)

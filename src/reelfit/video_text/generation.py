"""Captions written token by token: the likeliest, the best of several, or drawn."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from reelfit.video_text.caption_decoder import CaptionDecoder
from reelfit.video_text.ways import Beam, Greedy, Nucleus


@torch.no_grad()
def generate(
    decoder: CaptionDecoder,
    memory: Float[Tensor, "batch memory width"],
    present: Bool[Tensor, "batch memory"],
    *,
    begin: int,
    end: int,
    pad: int,
    way: Greedy | Beam | Nucleus,
    generators: Sequence[torch.Generator] = (),
) -> Int64[Tensor, "batch token"]:
    """A caption of each memory, as a tokenizer encodes texts, ``decoder.length`` wide.

    That is the begin token, the caption, the end token and padding. A caption that comes to its
    last place without an end is cut there and has none. Begin and padding are never written.

    A row is as it would be by itself, whichever others are in its batch, but where two tokens are
    as likely as each other to what sums are rounded by. For that, and to be the same on any device,
    ``Nucleus`` takes a generator of the CPU for each row.

    Memory: the keys and values of all tokens so far, a row for each beam; those of ``memory`` once.

    Raises:
        ValueError: the decoder is in training mode, or there is not one generator for each row.
    """
    if decoder.training:
        raise ValueError("the decoder is in training mode, where dropout changes what it says")
    beams = way.beams if isinstance(way, Beam) else 1
    captions = _Captions(decoder, memory, present, begin=begin, end=end, pad=pad, beams=beams)
    match way:
        case Greedy():
            _write_likeliest(captions)
        case Beam():
            return _write_beams(captions, way)
        case Nucleus():
            if len(generators) != len(memory):
                raise ValueError(f"{len(generators)} generators for {len(memory)} captions")
            _write_drawn(captions, way, generators)
    return captions.tokens


class _Captions:
    """Captions as far as they are written, ``beams`` rows for each memory."""

    def __init__(
        self,
        decoder: CaptionDecoder,
        memory: Float[Tensor, "batch memory width"],
        present: Bool[Tensor, "batch memory"],
        *,
        begin: int,
        end: int,
        pad: int,
        beams: int,
    ) -> None:
        self.decoder, self.end, self.pad, self.beams = decoder, end, pad, beams
        self.never = [begin, pad]
        self.cache = decoder.start(memory, present)
        shape, device = (len(memory) * beams, decoder.length), memory.device
        self.tokens = torch.full(shape, pad, dtype=torch.int64, device=device)
        self.tokens[:, 0] = begin
        self.ended = torch.zeros(shape[0], dtype=torch.bool, device=device)
        self.num_tokens = 1

    def are_open(self) -> bool:
        """Whether there is a place left, and a caption that has not ended."""
        return self.num_tokens < self.decoder.length and not bool(self.ended.all())

    def log_probabilities(self) -> Float[Tensor, "row vocabulary"]:
        """Of the next token of each row."""
        logits = self.decoder.step(self.tokens[:, self.num_tokens - 1], self.cache).float()
        logits[:, self.never] = -torch.inf
        return logits.log_softmax(-1)

    def add(self, following: Int64[Tensor, " row"]) -> None:
        """The next token of each row that has not ended."""
        self.tokens[:, self.num_tokens] = following.masked_fill(self.ended, self.pad)
        self.ended = self.ended | (following == self.end)
        self.num_tokens += 1

    def go_on_from(self, beam: Int64[Tensor, "batch beam"]) -> None:
        """Each row goes on from one of the beams of its memory."""
        first = torch.arange(len(beam), device=beam.device)[:, None] * self.beams
        rows = (first + beam).flatten()
        self.cache.select(rows)
        self.tokens, self.ended = self.tokens[rows], self.ended[rows]


def _write_likeliest(captions: _Captions) -> None:
    while captions.are_open():
        captions.add(captions.log_probabilities().argmax(-1))


def _write_drawn(captions: _Captions, way: Nucleus, generators: Sequence[torch.Generator]) -> None:
    width = captions.decoder.length
    drawn = [torch.rand(width, generator=each, dtype=torch.float64) for each in generators]
    points = torch.stack(drawn, 1).to(captions.tokens.device) if drawn else torch.empty(width, 0)
    while captions.are_open():
        point = points[captions.num_tokens]
        captions.add(_token_at(point, captions.log_probabilities(), way))


def _token_at(
    point: Float64[Tensor, " row"], logs: Float[Tensor, "row vocabulary"], way: Nucleus
) -> Int64[Tensor, " row"]:
    """The token at a point of 0..1, where those of the nucleus lie side by side, each its size."""
    probabilities = (logs.double() / way.temperature).softmax(-1)
    likely, order = probabilities.sort(dim=-1, descending=True, stable=True)
    up_to = likely.cumsum(-1)
    last = (up_to - likely < way.top_p).sum(-1, keepdim=True) - 1  # the one that reaches it too
    place = (up_to <= point[:, None] * up_to.gather(1, last)).sum(-1, keepdim=True)
    return order.gather(1, torch.minimum(place, last)).squeeze(1)


def _write_beams(captions: _Captions, way: Beam) -> Int64[Tensor, "batch token"]:
    shape = (len(captions.tokens) // way.beams, way.beams)
    device = captions.tokens.device
    sums = torch.full(shape, -torch.inf, device=device)
    sums[:, 0] = 0.0  # all beams begin alike: one of them goes on
    lengths = torch.zeros_like(sums)
    while captions.are_open():
        logs = captions.log_probabilities()
        logs = logs.reshape(*shape, logs.shape[-1])
        ended = captions.ended.reshape(shape)
        best, at = _continuations(sums, logs, ended)
        ended_first = ended.long().argsort(dim=1, descending=True, stable=True)
        rank = torch.arange(way.beams, device=device) - ended.sum(1, keepdim=True)
        stays, rank = rank < 0, rank.clamp(min=0)  # those that have ended keep their beams
        before = torch.where(stays, ended_first, at.gather(1, rank) // logs.shape[-1])
        sums = torch.where(stays, sums.gather(1, ended_first), best.gather(1, rank))
        lengths = lengths.gather(1, before) + ~stays
        captions.go_on_from(before)
        following = at.gather(1, rank) % logs.shape[-1]
        # what cannot be continued so must not end either, or it would keep a beam
        captions.add(following.masked_fill(sums == -torch.inf, captions.never[0]).flatten())
    best_beam = (sums / lengths.clamp(min=1) ** way.length_power).argmax(1)
    rows = torch.arange(shape[0], device=device)
    return captions.tokens.reshape(*shape, captions.decoder.length)[rows, best_beam]


def _continuations(
    sums: Float[Tensor, "batch beam"],
    logs: Float[Tensor, "batch beam vocabulary"],
    ended: Bool[Tensor, "batch beam"],
) -> tuple[Float[Tensor, "batch beam"], Int64[Tensor, "batch beam"]]:
    """The best continuations of what has not ended: their sums, and where they stand."""
    going_on = sums.masked_fill(ended, -torch.inf)[..., None] + logs
    best = going_on.flatten(1).topk(sums.shape[1])
    return best.values, best.indices

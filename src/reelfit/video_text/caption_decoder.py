"""A causal transformer that writes captions while it looks at what a video became."""

from dataclasses import dataclass, field
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

KeysValues = tuple[Float[Tensor, "row head place feature"], Float[Tensor, "row head place feature"]]


@dataclass
class LayerCache:
    """What one layer need not compute again for the next token."""

    past: KeysValues | None = None
    """Of the tokens so far."""
    memory: KeysValues | None = None
    """Of the memory: once for all rows that write about the same one."""


@dataclass
class Cache:
    """Captions as far as they are written: a row for each, as many rows for each memory."""

    memory: Float[Tensor, "batch memory width"]
    present: Bool[Tensor, "batch memory"]
    layers: list[LayerCache]
    num_tokens: int = field(default=0)

    def select(self, rows: Int64[Tensor, " row"]) -> None:
        """Goes on with these rows, in this order; a row may be taken more than once or never."""
        for layer in self.layers:
            if layer.past is not None:
                keys, values = layer.past
                layer.past = keys[rows], values[rows]


@final
class CaptionDecoder(nn.Module):
    """A pre-norm transformer over tokens, with cross-attention over a masked memory.

    Positions are learned, ``length`` of them. What is not present in a memory has no influence;
    where nothing is present, zeros are seen. ``tied``: the logits are products with the embeddings
    of the tokens, not with a matrix of their own.

    Source: Vaswani et al., Attention is all you need (2017); Xiong et al., On layer normalization
    in the transformer architecture (2020), for norms before; Press and Wolf, Using the output
    embedding to improve language models (2017), for tied outputs.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        length: int,
        memory_width: int,
        dropout: float = 0.1,
        tied: bool = True,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be shared out to {heads} heads")
        self.length = length
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        nn.init.normal_(self.token.weight, std=0.02)  # by 1 instead, tied logits begin far apart
        nn.init.normal_(self.position.weight, std=0.02)
        self.memory_norm = nn.LayerNorm(memory_width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            _Block(width, memory_width, heads, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.output = None if tied else nn.Linear(width, vocabulary, bias=False)

    def forward(
        self,
        tokens: Int64[Tensor, "batch token"],
        memory: Float[Tensor, "batch memory memory_width"],
        present: Bool[Tensor, "batch memory"],
    ) -> Float[Tensor, "batch token vocabulary"]:
        """Of each place the logits of the token after it, which see no token further on.

        Raises:
            ValueError: more tokens than ``length``.
        """
        if tokens.shape[1] > self.length:
            raise ValueError(f"{tokens.shape[1]} tokens, but the decoder has {self.length} places")
        x = self._embed(tokens, begin=0)
        memory = self._read(memory, present)
        for block in self.blocks:
            x = block(x, memory, present)
        return self._logits(x)

    def start(
        self,
        memory: Float[Tensor, "batch memory memory_width"],
        present: Bool[Tensor, "batch memory"],
    ) -> Cache:
        """Captions of no token yet, for ``step``."""
        read = self._read(memory, present)
        return Cache(read, present, [LayerCache() for _ in self.blocks])

    def step(self, tokens: Int64[Tensor, " row"], cache: Cache) -> Float[Tensor, "row vocabulary"]:
        """The logits after one more token of each row, which the cache then holds.

        The rows of one memory follow each other; there are as many of each. The same as ``forward``
        on all tokens so far, but for what sums are rounded by.
        """
        x = self._embed(tokens[:, None], begin=cache.num_tokens)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            x = block(x, cache.memory, cache.present, layer)
        cache.num_tokens += 1
        return self._logits(x)[:, 0]

    def _read(
        self,
        memory: Float[Tensor, "batch memory memory_width"],
        present: Bool[Tensor, "batch memory"],
    ) -> Float[Tensor, "batch memory memory_width"]:
        read: Tensor = self.memory_norm(memory)
        return read.masked_fill(~present[..., None], 0.0)  # 0 times what is no number is none

    def _embed(
        self, tokens: Int64[Tensor, "row token"], *, begin: int
    ) -> Float[Tensor, "row token width"]:
        places = torch.arange(begin, begin + tokens.shape[1], device=tokens.device)
        embedded: Tensor = self.dropout(self.token(tokens) + self.position(places))
        return embedded

    def _logits(self, x: Float[Tensor, "row token width"]) -> Float[Tensor, "row token vocabulary"]:
        # tied by use, not as a second parameter: weights that share storage cannot be saved apart
        weight = self.token.weight if self.output is None else self.output.weight
        return F.linear(self.norm(x), weight)


def caption_losses(
    logits: Float[Tensor, "batch token vocabulary"],
    tokens: Int64[Tensor, "batch token"],
    *,
    pad: int,
    smoothing: float = 0.0,
) -> Float[Tensor, " batch"]:
    """The mean cross-entropy of each caption's own tokens after the first; padding counts nowhere.

    ``logits`` are those of ``tokens`` themselves: what stands at a place is held against the token
    after it. With ``smoothing`` the truth is that share of an even spread over the vocabulary. 0
    where a caption has no token after its first.

    Source: Szegedy et al., Rethinking the inception architecture (2016), for smoothing, as torch's
    ``cross_entropy`` has it.
    """
    following = tokens[:, 1:]
    losses = F.cross_entropy(
        logits[:, :-1].transpose(1, 2),
        following,
        ignore_index=pad,
        label_smoothing=smoothing,
        reduction="none",
    )
    return losses.sum(1) / (following != pad).sum(1).clamp(min=1)


class _Block(nn.Module):
    def __init__(self, width: int, memory_width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = _Attention(width, width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = _Attention(width, memory_width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "row token width"],
        memory: Float[Tensor, "batch memory memory_width"],
        present: Bool[Tensor, "batch memory"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "row token width"]:
        x = x + self.dropout(self._look_back(self.self_norm(x), cache))
        x = x + self.dropout(self._look_at(memory, present, self.cross_norm(x), cache))
        fed: Tensor = x + self.dropout(self.feed(self.feed_norm(x)))
        return fed

    def _look_back(
        self, x: Float[Tensor, "row token width"], cache: LayerCache | None
    ) -> Float[Tensor, "row token width"]:
        keys, values = self.self_attention.keys_values(x)
        if cache is not None:
            if cache.past is not None:
                keys = torch.cat([cache.past[0], keys], 2)
                values = torch.cat([cache.past[1], values], 2)
            cache.past = keys, values
        seen: Tensor = self.self_attention(x, (keys, values), causal=cache is None)
        return seen

    def _look_at(
        self,
        memory: Float[Tensor, "batch memory memory_width"],
        present: Bool[Tensor, "batch memory"],
        x: Float[Tensor, "row token width"],
        cache: LayerCache | None,
    ) -> Float[Tensor, "row token width"]:
        if cache is None:
            found = self.cross_attention.keys_values(memory)
        else:
            if cache.memory is None:
                cache.memory = self.cross_attention.keys_values(memory)
            found = cache.memory
        # all rows of a memory ask it as one: it is never copied for each of them
        asking = x.reshape(len(memory), -1, x.shape[-1])
        seen: Tensor = self.cross_attention(asking, found, allowed=present[:, None, None])
        return seen.reshape(x.shape)


class _Attention(nn.Module):
    def __init__(self, width: int, memory_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(memory_width, 2 * width)
        self.out = nn.Linear(width, width)

    def keys_values(self, memory: Float[Tensor, "row token memory_width"]) -> KeysValues:
        keys, values = self.key_value(memory).chunk(2, -1)
        return self._in_heads(keys), self._in_heads(values)

    def forward(
        self,
        x: Float[Tensor, "row token width"],
        seen: KeysValues,
        *,
        allowed: Bool[Tensor, "row 1 1 memory"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "row token width"]:
        nothing = None if allowed is None else ~allowed.any(-1, keepdim=True)
        if allowed is not None and nothing is not None:
            allowed = allowed | nothing  # over nothing kernels differ: zero, or no number
        found = F.scaled_dot_product_attention(
            self._in_heads(self.query(x)), *seen, attn_mask=allowed, is_causal=causal
        )
        if nothing is not None:
            found = found.masked_fill(nothing, 0.0)
        joined: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return joined

    def _in_heads(
        self, x: Float[Tensor, "row token width"]
    ) -> Float[Tensor, "row head token feature"]:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

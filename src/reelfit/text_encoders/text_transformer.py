"""A small transformer on byte pairs of the study's own texts: nothing is downloaded."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from typing_extensions import override

from reelfit.text_encoders.text_encoder import TextEncoder
from reelfit.text_encoders.tokens import BYTES, SPECIAL, Tokenizer


@final
class TextTransformer(TextEncoder):
    """Blocks that are normalised before each half, and the mean of the tokens they give.

    Source: Vaswani et al., Attention Is All You Need (2017); Xiong et al., On Layer Normalization
    in the Transformer Architecture (2020), for the norm's place.
    """

    width: int = Field(default=128, ge=8, le=4096)
    """Numbers per token."""
    layers: int = Field(default=4, ge=1, le=48)
    """Blocks."""
    heads: int = Field(default=4, ge=1)
    """Heads of each block's attention; the width is a multiple of them."""
    vocabulary: int = Field(default=4096, ge=BYTES + len(SPECIAL))
    """The most tokens that are learnt from the texts; 259 of them are the bytes and the special."""
    length: int = Field(default=64, ge=3, le=4096)
    """Tokens of a text, begin and end included; longer texts are cut."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """The share of each half block's numbers that is dropped in training."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "TextTransformer":
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide a width of {self.width}")
        return self

    @override
    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """Byte pairs learnt from the texts."""
        return Tokenizer.train(texts, vocabulary=self.vocabulary, length=self.length)

    @override
    def build(self, tokenizer: Tokenizer) -> "TextNetwork":
        """The transformer with as many tokens as were learnt."""
        return TextNetwork(
            tokenizer,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
        )


@final
class TextNetwork(nn.Module):
    """Tokens to the mean of what the last block makes of those that are no padding."""

    def __init__(
        self, tokenizer: Tokenizer, *, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.pad = tokenizer.pad
        self.tokens = nn.Embedding(tokenizer.size, width)
        self.places = nn.Parameter(torch.empty(tokenizer.length, width))
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for weights in (self.tokens.weight, self.places):
            nn.init.normal_(weights, std=0.02)

    @override
    def forward(self, tokens: Int64[Tensor, "batch token"]) -> Float[Tensor, "batch width"]:
        present = tokens != self.pad
        inner = self.tokens(tokens) + self.places[: tokens.shape[1]]
        for block in self.blocks:
            inner = block(inner, present)
        return mean_of_present(self.norm(inner), present)


@final
class _Block(nn.Module):
    """Attention over the tokens that are there, then two layers on each token."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.to_attention = nn.Linear(width, 3 * width)
        self.from_attention = nn.Linear(width, width)
        self.before_layers = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    @override
    def forward(
        self, inner: Float[Tensor, "batch token width"], present: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch token width"]:
        asked = self.to_attention(self.before_attention(inner))
        query, key, value = asked.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value, attn_mask=present[:, None, None])
        inner = inner + self.dropout(self.from_attention(seen.transpose(1, 2).flatten(2)))
        wide = nn.functional.gelu(self.widen(self.before_layers(inner)))
        narrowed: Tensor = inner + self.dropout(self.narrow(wide))
        return narrowed


def mean_of_present(
    tokens: Float[Tensor, "batch token width"], present: Bool[Tensor, "batch token"]
) -> Float[Tensor, "batch width"]:
    """The mean over the tokens that are there, of which each row has one at least."""
    weights = present.to(tokens.dtype).unsqueeze(-1)
    return (tokens.masked_fill(~present.unsqueeze(-1), 0) * weights).sum(1) / weights.sum(1)

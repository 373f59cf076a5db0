"""Text encoders of the transformers library: from a configuration, or whole from a checkpoint."""

from collections.abc import Sequence
from typing import Any, Final, Literal, final

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

from reelfit.errors import StudyError
from reelfit.models.transformers_checkpoint import (
    build_library_model,
    make_configuration,
    read_configuration,
    refuse_batch_norm,
    require_weights,
)
from reelfit.models.transformers_network import PRETRAINED_RATE, Size, freeze, widths_of
from reelfit.text_encoders.text_encoder import TextEncoder
from reelfit.text_encoders.text_transformer import mean_of_present
from reelfit.text_encoders.tokens import BYTES, SPECIAL, Tokenizer

WITH_SIZES: Final = ("bert", "roberta", "electra", "mpnet")
Pooling = Literal["mean", "first", "last"]


@final
class HFText(TextEncoder):
    """An encoder of the library, such as BERT or the text half of CLIP, on its own tokens.

    Without weights its tokens are byte pairs of the study's texts. What stands above the encoder in
    the library (poolers, heads) is left out.
    """

    kind: str | None = None
    """A kind of encoder by the library's name: bert (the default without weights), roberta, electra
    or mpnet by size; any other by weights or by config, such as clip_text_model."""
    size: Size = "mini"
    """How large an encoder without weights is: widths and layers as of the vision transformers."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Values of the library's configuration, by its own names, laid over those of the size."""
    weights: str | None = None
    """A folder as save_pretrained writes it, tokenizer and all, beside the study or absolute; or a
    name of the hub, such as google-bert/bert-base-uncased, with @ and a revision."""
    pooling: Pooling = "mean"
    """Which of its tokens count: the mean of all that are no padding; the first, as where BERT was
    trained for it; or the last, as with CLIP and other causal ones."""
    train: Literal["all", "last_blocks", "nothing"] = "all"
    """What of the encoder learns: all, its last blocks, or nothing; what stands above it always."""
    last_blocks: int = Field(default=2, ge=1)
    """How many blocks of the encoder learn with train: last_blocks."""
    encoder_rate: float | None = Field(default=None, gt=0)
    """The encoder's share of the learning rate; null: a tenth with weights, all of it without."""
    vocabulary: int = Field(default=4096, ge=BYTES + len(SPECIAL))
    """Without weights: the most tokens that are learnt from the texts."""
    length: int = Field(default=64, ge=3, le=4096)
    """Tokens of a text, begin and end included; longer texts are cut."""

    @model_validator(mode="after")
    def _frozen_has_weights(self) -> "HFText":
        require_weights(self.weights, train=self.train)
        return self

    @override
    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """The checkpoint's own; without weights, byte pairs learnt from the texts."""
        if self.weights is not None:
            return Tokenizer.from_folder(self.weights, length=self.length)
        return Tokenizer.train(texts, vocabulary=self.vocabulary, length=self.length)

    @override
    def build(self, tokenizer: Tokenizer) -> "HFTextNetwork":
        """The encoder on these tokens.

        Raises:
            StudyError: the library has no such encoder, it is none of texts, it has fewer places
                than a text has tokens or fewer tokens than the tokenizer; weights are damaged.
        """
        found = self._configuration(tokenizer)
        kind = found.model_type
        if getattr(found, "is_encoder_decoder", False):
            raise StudyError(f"kind: {kind} is an encoder with a decoder: take an encoder alone")
        model = build_library_model("AutoModel", found, self.weights)
        if model.main_input_name != "input_ids":
            raise StudyError(f"kind: {kind} is no encoder of texts")
        refuse_batch_norm(model)
        places = getattr(found, "max_position_embeddings", None)
        if places is not None and tokenizer.length > places:
            raise StudyError(
                f"length: a text of {tokenizer.length} tokens is longer than the {places} of {kind}"
            )
        if found.vocab_size < tokenizer.known:
            raise StudyError(
                f"weights: {kind} has {found.vocab_size} tokens, its tokenizer {tokenizer.known}"
            )
        if self.train != "all":
            freeze(model, last_blocks=self.last_blocks if self.train == "last_blocks" else 0)
        return HFTextNetwork(model, tokenizer, found, self.pooling)

    @override
    def rate_factors(self, network: nn.Module) -> dict[str, float]:
        """The encoder's share, for each of its parameters."""
        rate = self.encoder_rate
        if rate is None:
            rate = 1.0 if self.weights is None else PRETRAINED_RATE
        return {} if rate == 1 else dict.fromkeys((n for n, _ in network.named_parameters()), rate)

    def _configuration(self, tokenizer: Tokenizer) -> Any:
        if self.weights is None:
            kind = self.kind or "bert"
            made = make_configuration(kind, self._of_size(kind) | self.config)
            for name, value in _of(tokenizer).items():
                own = made.attribute_map.get(name, name)
                if hasattr(made, name) and not {name, own} & self.config.keys():
                    setattr(made, name, value)
            return made
        found = read_configuration(self.weights, self.config)
        found = getattr(found, "text_config", None) or found
        if self.kind not in (None, found.model_type):
            raise StudyError(
                f"kind: {self.kind} is asked for, and the weights are of {found.model_type}"
            )
        return found

    def _of_size(self, kind: str) -> dict[str, Any]:
        if kind in WITH_SIZES:
            found = widths_of(self.size)
            narrow = {"embedding_size": found["hidden_size"]} if kind == "electra" else {}
            return found | {"intermediate_size": 4 * found["hidden_size"]} | narrow
        if not self.config:
            raise StudyError(
                f"kind: {kind} has no sizes here ({', '.join(WITH_SIZES)} do): give weights or "
                "config"
            )
        return {}


def _of(tokenizer: Tokenizer) -> dict[str, int]:
    """What a configuration says of tokens; some kinds count places from the padding's number on."""
    return {
        "vocab_size": tokenizer.size,
        "max_position_embeddings": tokenizer.length + tokenizer.pad + 1,
        "pad_token_id": tokenizer.pad,
        "bos_token_id": tokenizer.begin,
        "eos_token_id": tokenizer.end,
    }


@final
class HFTextNetwork(nn.Module):
    """Tokens, encoded by the library, then one row of what it makes of them."""

    def __init__(
        self, encoder: nn.Module, tokenizer: Tokenizer, configuration: Any, pooling: Pooling
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = int(configuration.hidden_size)
        self.known = int(configuration.vocab_size)
        self.pad, self.end = tokenizer.pad, tokenizer.end
        self.pooling = pooling

    @override
    def forward(self, tokens: Int64[Tensor, "batch token"]) -> Float[Tensor, "batch width"]:
        present = tokens != self.pad
        # A token that the encoder's own tokenizer lacks has no row in it.
        known = tokens.masked_fill(tokens >= self.known, self.end)
        learns = any(parameter.requires_grad for parameter in self.encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            found = self.encoder(input_ids=known, attention_mask=present.long())
        return _pooled(found.last_hidden_state, present, self.pooling)

    @override
    def train(self, mode: bool = True) -> "HFTextNetwork":
        """What is frozen does not train: without dropout it gives the same each time."""
        super().train(mode)
        for part in self.encoder.modules():
            weights = list(part.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                part.eval()
        return self


def _pooled(
    inner: Float[Tensor, "batch token width"],
    present: Bool[Tensor, "batch token"],
    pooling: Pooling,
) -> Float[Tensor, "batch width"]:
    if pooling == "mean":
        return mean_of_present(inner, present)
    if pooling == "first":
        return inner[:, 0]
    last = present.sum(1) - 1
    return inner[torch.arange(len(inner), device=inner.device), last]

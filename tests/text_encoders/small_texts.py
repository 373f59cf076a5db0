"""Texts of the kind that studies have, and text encoders small enough to be made many times."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from reelfit.text_encoders.tokens import Tokenizer

TEXTS = [
    f"a {colour} {shape} moves {way}"
    for colour in ("red", "green", "blue")
    for shape in ("circle", "square")
    for way in ("left", "right", "up")
]
_WIDTHS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL_TEXT: dict[str, dict[str, Any]] = {
    "bert": _WIDTHS | {"intermediate_size": 32},
    "roberta": _WIDTHS | {"intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "electra": _WIDTHS | {"intermediate_size": 32, "embedding_size": 8},
    "clip_text_model": _WIDTHS | {"intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
}


def trained(*, vocabulary: int = 300, length: int = 16) -> Tokenizer:
    return Tokenizer.train(TEXTS, vocabulary=vocabulary, length=length)


def save_small_text(kind: str, folder: Path, *, special: dict[str, str], **values: Any) -> Path:
    """A checkpoint of the library with a tokenizer that knows the ``special`` roles."""
    tokenizer = trained()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer._library, **special).save_pretrained(folder)
    places = {"vocab_size": tokenizer.size, "max_position_embeddings": 40, "pad_token_id": 0}
    configuration = AutoConfig.for_model(kind, **(places | SMALL_TEXT[kind] | values))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(configuration).save_pretrained(folder)
    return folder

"""Texts as rows of token numbers of one width, and back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, final

import torch
from jaxtyping import Int64
from torch import Tensor

from reelfit.data.checkpoint_files import find_checkpoint
from reelfit.errors import StudyError
from reelfit.models.transformers_checkpoint import library

SPECIAL: Final = ("<pad>", "<begin>", "<end>")
BYTES: Final = 256
"""Tokens that every vocabulary has, so that any text can be written."""


@final
@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary with the three tokens that frame a text, which are never the same.

    Rows have ``length`` places: begin, the text, end, padding. ``size`` counts all numbers there
    are. Words that look like a special token are text.
    """

    rules: str
    """The tokenizers library's own JSON."""
    length: int
    size: int
    pad: int
    begin: int
    end: int

    @classmethod
    def train(cls, texts: Sequence[str], *, vocabulary: int, length: int) -> "Tokenizer":
        """Byte pairs of ``texts``, the most frequent joined first, up to ``vocabulary`` tokens.

        The order of the texts is without effect: they are sorted, pairs are counted over all of
        them, and of equally frequent pairs the one with the smaller numbers is joined first. Few
        texts give fewer tokens.

        Raises:
            StudyError: the tokenizers library is missing; ``vocabulary`` is less than the bytes
                and the special tokens, or ``length`` has no room for a token of a text.

        Source: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units (2016);
        on bytes as in Radford et al., Language Models are Unsupervised Multitask Learners (2019).
        """
        _require_room(length)
        least = BYTES + len(SPECIAL)
        if vocabulary < least:
            raise StudyError(f"vocabulary: {vocabulary} tokens are less than the least, {least}")
        tokenizers = _tokenizers()
        made = tokenizers.Tokenizer(tokenizers.models.BPE())
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made.train_from_iterator(sorted(texts), trainer)
        pad, begin, end = map(made.token_to_id, SPECIAL)
        return cls(made.to_str(), length, made.get_vocab_size(), pad, begin, end)

    @classmethod
    def from_folder(cls, weights: str, *, length: int) -> "Tokenizer":
        """The tokenizer of a checkpoint of the transformers library, by folder or hub name.

        A begin or padding token that it lacks, or that is its end token as well, gets a number
        after its last one.

        Raises:
            StudyError: there is none, it cannot be read, or nothing ends a text.
        """
        _require_room(length)
        folder = find_checkpoint(weights)
        if not any((folder / name).exists() for name in _VOCABULARIES):
            # The library would make one up that knows no words.
            raise StudyError(f"weights: {folder} has no tokenizer: {', '.join(_VOCABULARIES)}")
        with library() as transformers:
            try:
                kinds = transformers.AutoTokenizer
                found = kinds.from_pretrained(folder, local_files_only=True)
                rules = found.backend_tokenizer.to_str()
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                said = str(error).strip().partition("\n")[0] or type(error).__name__
                raise StudyError(f"weights: the tokenizer of {folder}: {said}") from None
        numbers = {role: getattr(found, f"{role}_token_id") for role in _ROLES}
        end = _first_of(numbers["sep"], numbers["eos"])
        if end is None:
            raise StudyError(f"weights: the tokenizer of {folder} has no token that ends a text")
        size, begin, pad = len(found), _first_of(numbers["cls"], numbers["bos"]), numbers["pad"]
        if begin in (None, end):
            begin, size = size, size + 1
        if pad in (None, end, begin):
            pad, size = size, size + 1
        return cls(rules, length, size, pad, begin, end)

    @classmethod
    def from_json(cls, said: str) -> "Tokenizer":
        """The tokenizer of which ``to_json`` gave this."""
        return cls(**json.loads(said))

    def to_json(self) -> str:
        """All that it is, for a checkpoint."""
        return json.dumps(asdict(self))

    @property
    def known(self) -> int:
        """How many tokens the rules know; what was added to them comes after."""
        return int(self._library.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> Int64[Tensor, "text token"]:
        """A row per text; one that is too long is cut and keeps its end token."""
        rows = torch.full((len(texts), self.length), self.pad, dtype=torch.int64)
        encoded = self._library.encode_batch(list(texts), add_special_tokens=False)
        for row, found in zip(rows, encoded, strict=True):
            framed = [self.begin, *found.ids[: self.length - 2], self.end]
            row[: len(framed)] = torch.tensor(framed)
        return rows

    def decode(self, ids: Int64[Tensor, "text token"]) -> list[str]:
        """The text of each row up to its first end token, without begin and padding."""
        return [self._text_of(row) for row in ids.tolist()]

    def _text_of(self, row: list[int]) -> str:
        kept = row[: row.index(self.end)] if self.end in row else row
        text = [number for number in kept if number not in (self.begin, self.pad)]
        return str(self._library.decode(text, skip_special_tokens=True))

    @cached_property
    def _library(self) -> Any:
        made = _tokenizers().Tokenizer.from_str(self.rules)
        made.no_padding()
        made.no_truncation()
        made.encode_special_tokens = True  # what looks like one in a text is text
        return made


_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt")
_ROLES: Final = ("cls", "bos", "sep", "eos", "pad")


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise StudyError('texts need the tokenizers library: pip install "reelfit[text]"') from None
    return tokenizers


def _require_room(length: int) -> None:
    if length < 3:
        raise StudyError(f"length: {length} tokens have no room for begin, a token and end")


def _first_of(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)

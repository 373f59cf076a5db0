"""Texts become the same tokens whatever the order they came in, and come back as they were."""

import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from own_process import printed_by
from reelfit.errors import StudyError
from reelfit.text_encoders.tokens import Tokenizer
from small_texts import TEXTS, save_small_text, trained

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WIDE = Tokenizer.train(TEXTS, vocabulary=300, length=128)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_any_texts_come_back_as_they_were(texts: list[str]) -> None:
    assert WIDE.decode(WIDE.encode(texts)) == texts


@settings(max_examples=15, deadline=None)
@given(st.lists(ANY_TEXT, max_size=20), st.randoms())
def test_the_order_of_the_texts_is_without_effect(texts: list[str], chance: random.Random) -> None:
    shuffled = [*texts]
    chance.shuffle(shuffled)
    one, other = (Tokenizer.train(t, vocabulary=290, length=8) for t in (texts, shuffled))
    assert one == other


PROGRAM = """
import json, sys
from reelfit.text_encoders.tokens import Tokenizer
texts = json.loads(sys.argv[1])
print(json.dumps(Tokenizer.train(texts, vocabulary=400, length=8).to_json()))
"""


def test_another_process_learns_the_same_tokens() -> None:
    texts = [f"{first}{second} tie" for first in "abcdefgh" for second in "abcdefgh"]
    found = printed_by(PROGRAM, json.dumps(texts[::-1]))
    assert found == Tokenizer.train(texts, vocabulary=400, length=8).to_json()


def test_frequent_words_become_one_token_and_the_vocabulary_has_a_bound() -> None:
    tokenizer = trained(vocabulary=280)
    assert tokenizer.size == 280
    assert trained(vocabulary=5000).size < 400  # few texts have few pairs
    full = trained(vocabulary=5000).encode(["a red circle moves left"])[0]
    assert int((full != tokenizer.pad).sum()) == 2 + 5


def test_rows_begin_end_and_are_padded_and_a_cut_keeps_the_end() -> None:
    tokenizer = trained(length=6)
    short, long = tokenizer.encode(["", "xyz" * 40])
    assert short.tolist() == [tokenizer.begin, tokenizer.end, *[tokenizer.pad] * 4]
    assert (long[0], long[-1]) == (tokenizer.begin, tokenizer.end)
    assert tokenizer.decode(long[None]) == ["xyzx"]
    assert tokenizer.encode([]).shape == (0, 6)


def test_words_that_look_like_special_tokens_are_text() -> None:
    tokenizer = Tokenizer.train(["a <pad> <end> <begin>"] * 9, vocabulary=400, length=40)
    row = tokenizer.encode(["<pad><end><begin>"])
    assert int((row == tokenizer.end).sum()) == 1
    assert tokenizer.decode(row) == ["<pad><end><begin>"]


def test_decoding_stops_at_the_first_end_token() -> None:
    tokenizer = trained()
    row = tokenizer.encode(["a red circle"])
    text = row[0, 1:4]
    twice = torch.cat([text, torch.tensor([tokenizer.end]), text])[None]
    assert tokenizer.decode(twice) == ["a red circle"]


def test_json_keeps_all_of_it() -> None:
    tokenizer = trained()
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again == tokenizer
    assert torch.equal(again.encode(TEXTS), tokenizer.encode(TEXTS))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vocabulary": 258, "length": 8}, "258 tokens are less than the least, 259"),
        ({"vocabulary": 300, "length": 2}, "no room for begin, a token and end"),
    ],
)
def test_what_cannot_hold_a_text_is_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Tokenizer.train(TEXTS, **options)


@pytest.mark.parametrize(
    "special",
    [
        {"pad_token": "<pad>", "cls_token": "<begin>", "sep_token": "<end>"},
        {"pad_token": "<pad>", "bos_token": "<begin>", "eos_token": "<end>"},
        {"bos_token": "<end>", "eos_token": "<end>"},
        {"pad_token": "<end>", "eos_token": "<end>"},
    ],
)
def test_a_checkpoints_tokenizer_frames_texts_by_three_tokens_that_differ(
    tmp_path, special: dict[str, str]
) -> None:
    folder = save_small_text("bert", tmp_path / "text", special=special)
    tokenizer = Tokenizer.from_folder(str(folder), length=16)
    own = trained()
    assert len({tokenizer.pad, tokenizer.begin, tokenizer.end}) == 3
    assert tokenizer.end == own.end
    assert tokenizer.known == own.size
    assert tokenizer.size == own.size + ("pad_token" not in special) + (
        "<begin>" not in special.values()
    ) + (special.get("pad_token") == "<end>")
    row = tokenizer.encode(["a red circle moves"])
    assert row[0, 1:5].tolist() == own.encode(["a red circle moves"])[0, 1:5].tolist()
    assert tokenizer.decode(row) == ["a red circle moves"]
    assert Tokenizer.from_json(tokenizer.to_json()) == tokenizer


def test_a_checkpoint_without_a_tokenizer_or_without_an_end_is_refused(tmp_path) -> None:
    save = save_small_text("bert", tmp_path / "text", special={"pad_token": "<pad>"})
    with pytest.raises(StudyError, match="no token that ends a text"):
        Tokenizer.from_folder(str(save), length=16)
    (save / "tokenizer.json").write_text("{}")
    with pytest.raises(StudyError, match="the tokenizer of"):
        Tokenizer.from_folder(str(save), length=16)
    (save / "tokenizer.json").unlink()
    with pytest.raises(StudyError, match="has no tokenizer: tokenizer"):
        Tokenizer.from_folder(str(save), length=16)

"""METEOR by hand, and as nltk has it where a word stands once; elsewhere never below nltk's."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

from reelfit.metrics.meteor import fewest_chunks, meteor

STEM = PorterStemmer().stem
GUIDE = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
OTHERS = (
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the"
    " command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
)
WORDS = st.lists(st.sampled_from(["a", "b", "c", "moves", "moving", "moved", "x"]), max_size=7)


class NoSynonyms:
    """What nltk asks for synonyms: there are none, as its own corpus would be a download."""

    def synsets(self, word: str) -> list[object]:
        return []


def by_nltk(generated: list[str], reference: list[str]) -> float:
    return single_meteor_score(reference, generated, wordnet=NoSynonyms())


def of(generated: str, *references: str) -> float:
    return meteor(stems(generated.split()), [stems(each.split()) for each in references])


def stems(words: list[str]) -> list[str]:
    return [STEM(word) for word in words]


@pytest.mark.parametrize(
    ("generated", "reference", "expected"),
    [
        ("a b c d", "a b c d", 1 - 0.5 / 4**3),  # one chunk of four
        ("a", "a", 0.5),
        ("a b", "b a", 0.5),  # two chunks of two
        ("a b c d", "a b x d", 0.75 * (1 - 0.5 * (2 / 3) ** 3)),
        # precision 1, recall 2 of 4: 0.5 / (0.9 + 0.1 * 0.5)
        ("a b", "a b c d", 0.5 / 0.95 * (1 - 0.5 / 2**3)),
        ("cats running", "cat runs", 1 - 0.5 / 2**3),  # by their stems
        ("a b", "c d", 0.0),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_values_by_hand(generated: str, reference: str, expected: float):
    assert of(generated, reference) == pytest.approx(expected)


def test_the_published_example_of_nltk_has_one_chunk_less_than_there():
    """12 of 18 words match 12 of 16 in 4 chunks: nltk takes the last "the", and has 6."""
    assert by_nltk(GUIDE.split(), OTHERS[0].split()) == pytest.approx(0.6944, abs=5e-5)
    mean = (2 / 3) * (3 / 4) / (0.9 * 2 / 3 + 0.1 * 3 / 4)
    assert mean * (1 - 0.5 * (6 / 12) ** 3) == pytest.approx(0.6944, abs=5e-5)
    assert of(GUIDE, OTHERS[0]) == pytest.approx(mean * (1 - 0.5 * (4 / 12) ** 3))
    assert of(GUIDE, *OTHERS) == of(GUIDE, OTHERS[0])
    for reference in OTHERS:
        assert of(GUIDE, reference) >= by_nltk(GUIDE.split(), reference.split()) - 1e-12


def test_the_best_reference_counts_and_none_gives_zero():
    assert of("a b c", "x y", "a b c", "a") == of("a b c", "a b c")
    assert of("a b c") == 0


@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS)
def test_no_value_is_below_nltks_and_where_stems_stand_once_it_is_the_same(
    generated: list[str], reference: list[str]
):
    found = meteor(stems(generated), [stems(reference)])
    expected = by_nltk(generated, reference)
    assert found >= expected - 1e-12
    if max(map(len, (generated, reference))) and all(
        len(set(stems(words))) == len(words) for words in (generated, reference)
    ):
        assert found == pytest.approx(expected)


def test_nltk_takes_a_reference_that_begins_alike_apart_and_this_does_not():
    text, reference = "a red circle", "a red circle and a blue square"
    assert fewest_chunks(text.split(), reference.split()) == 1
    assert of(text, reference) > by_nltk(text.split(), reference.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_the_chunks_are_the_fewest_of_all_alignments_with_the_most_matches(
    generated: list[str], reference: list[str]
):
    assert fewest_chunks(generated, reference) == by_trying_all(generated, reference)


def by_trying_all(generated: list[str], reference: list[str]) -> int:
    options = [
        [None, *(place for place, word in enumerate(reference) if word == each)]
        for each in generated
    ]
    found = []
    for chosen in itertools.product(*options):
        taken = [place for place in chosen if place is not None]
        if len(set(taken)) == len(taken):
            pairs = zip((None, *chosen), chosen, strict=False)
            chunks = sum(
                place is not None and (before is None or place != before + 1)
                for before, place in pairs
            )
            found.append((-len(taken), chunks))
    return min(found)[1]


def test_a_caption_that_only_repeats_a_word_is_measured_soon():
    words = ["a"] * 60
    begin = time.process_time()
    assert fewest_chunks(words, words) == 1
    assert time.process_time() - begin < 5

"""CIDEr-D by hand, and by the paper's formula over a whole vocabulary."""

import itertools
import math

import numpy as np
import pytest

from reelfit.metrics.cider import cider


def of(generated: list[str], references: list[list[str]]) -> np.ndarray:
    return cider(
        [text.split() for text in generated],
        [[text.split() for text in right] for right in references],
    )


def by_the_paper(generated: list[str], references: list[list[str]]) -> np.ndarray:
    """Vectors with a column for each sequence of words, counted and not divided."""
    texts = [*generated, *itertools.chain(*references)]

    def sequences(text: str, order: int) -> list[tuple[str, ...]]:
        words = text.split()
        return list(zip(*(words[begin:] for begin in range(order)), strict=False))

    total = np.zeros(len(generated))
    for order in range(1, 5):
        columns = sorted({each for text in texts for each in sequences(text, order)})
        if not columns:
            continue
        having = [
            sum(any(each in sequences(text, order) for text in right) for right in references)
            for each in columns
        ]
        rarity = np.log(len(references)) - np.log(np.maximum(having, 1))

        vectors = {
            text: rarity * [sequences(text, order).count(each) for each in columns]
            for text in texts
        }
        for row, right in enumerate(references):
            for text in right:
                one, other = vectors[generated[row]], vectors[text]
                norms = np.linalg.norm(one) * np.linalg.norm(other)
                words = len(generated[row].split()) - len(text.split())
                cosine = np.minimum(one, other) @ other / norms if norms else 0
                total[row] += cosine * np.exp(-(words**2) / 72) / len(right) / 4 * 10
    return total


def test_values_by_hand():
    references = [["red ball"], ["blue ball"]]
    # red weighs ln 2 and "red ball" too, ball weighs nothing, three and four words there are not
    assert of(["red ball", "blue ball"], references) == pytest.approx([5, 5])
    assert of(["blue ball", "ball"], references) == pytest.approx([0, 0])
    # one word: min(3, 1) / (3 * 1); two words: 1 / (sqrt(2^2 + 1) * 1); two words more
    cut_off = 10 * (1 / 3 + 1 / math.sqrt(5)) / 4 * math.exp(-4 / 72)
    assert of(["red red red ball", "x"], references) == pytest.approx([cut_off, 0])


def test_a_caption_that_repeats_a_right_word_gains_nothing():
    references = [["a red ball rolls left"], ["a blue square falls down"]]
    once = of(["a red ball rolls left", ""], references)[0]
    often = of(["a red ball rolls left red red red", ""], references)[0]
    assert once == pytest.approx(10)
    assert often < once - 2


def test_all_values_are_those_of_the_papers_formula():
    generator = np.random.default_rng(0)
    words = np.array(["a", "red", "blue", "ball", "square", "rolls", "falls", "left", "right"])

    def made() -> str:
        return " ".join(generator.choice(words, size=generator.integers(1, 9)))

    references = [[made() for _ in range(generator.integers(1, 4))] for _ in range(40)]
    generated = [made() for _ in range(37)] + [references[37][0], "", references[39][0]]
    found = of(generated, references)
    assert found == pytest.approx(by_the_paper(generated, references), abs=1e-9)
    assert len(np.unique(found.round(6))) > 25


def test_words_that_all_references_have_weigh_nothing_and_rare_ones_weigh_more():
    references = [["a red ball"], ["a red cube"], ["a blue cone"]]
    found = of(["a", "red", "blue"], references)
    assert found[0] == 0
    assert found[1] > 0
    same = [["a red ball"], ["a red ball"]]
    assert of(["a red ball", "a red ball"], same) == pytest.approx([0, 0])
    assert of(["a red ball"], [["a red ball"]]) == pytest.approx([0])


def test_captions_without_references_are_zero_and_do_not_count():
    references = [["red ball"], ["blue ball"]]
    found = of(["red ball", "blue ball", "red ball"], [*references, []])
    assert found == pytest.approx([5, 5, 0])

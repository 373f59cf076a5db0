"""Captions have the values of the reference libraries, and intervals over whole groups."""

import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU as SACREBLEU

from reelfit.errors import StudyError
from reelfit.metrics.captions import CAPTION_METRICS, measure_captions, split_words
from reelfit.metrics.cider import cider
from reelfit.metrics.meteor import meteor
from reelfit.metrics.resampling import draw_groups, middle

COLOURS, SHAPES, WAYS = ("red", "green", "Blue"), ("circle", "square"), ("left", "right", "up")


def captions(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Generated ones that are right in parts, with one to three references each."""
    generator = np.random.default_rng(seed)

    def made() -> str:
        words = [str(generator.choice(each)) for each in (COLOURS, SHAPES, WAYS)]
        text = f"A {words[0]} {words[1]}, moving {words[2]}"
        return text + (" slowly." if generator.random() < 0.5 else "")

    references = [[made() for _ in range(generator.integers(1, 4))] for _ in range(count)]
    generated = [right[0] if generator.random() < 0.3 else made() for right in references]
    return generated, references


def measured(generated: list[str], references: list[list[str]], *, resamples: int = 0):
    groups = [f"group {row // 3}" for row in range(len(generated))]
    return measure_captions(generated, references, groups=groups, seed=1, resamples=resamples)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_that_of_sacrebleu_for_each_caption_and_for_all(order: int):
    generated, references = captions(60)
    generated += ["A", "red left", "something else entirely", "A red circle", "Blue , Blue"]
    references += [["A"], ["left red", "red left!"], ["A green square"], ["A red"], ["Blue"]]
    found = measured(generated, references)
    single = SACREBLEU(max_ngram_order=order, effective_order=True)
    for row, (text, right) in enumerate(zip(generated, references, strict=True)):
        expected = single.sentence_score(text, right).score / 100
        assert found.per_caption[f"bleu_{order}"][row] == pytest.approx(expected, abs=1e-12)
    streams = [
        [right[place] if place < len(right) else None for right in references] for place in range(3)
    ]
    whole = SACREBLEU(max_ngram_order=order)
    expected = whole.corpus_score(generated, streams).score / 100
    assert found.corpus[f"bleu_{order}"].value == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 1


@pytest.mark.parametrize("text", ["red", "circle red", "blue", "red blue blue circle"])
def test_a_corpus_without_some_orders_is_as_sacrebleu_has_it(text: str):
    for order in range(1, 5):
        expected = SACREBLEU(max_ngram_order=order).corpus_score([text], [["red circle"]]).score
        found = measured([text], [["red circle"]]).corpus[f"bleu_{order}"].value
        assert found == pytest.approx(expected / 100, abs=1e-12)


def test_rouge_is_that_of_the_library_for_the_best_reference():
    generated, references = captions(40)
    found = measured(generated, references)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    for row, (text, right) in enumerate(zip(generated, references, strict=True)):
        for name, key in {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}.items():
            expected = max(scorer.score(each, text)[key].fmeasure for each in right)
            assert found.per_caption[name][row] == pytest.approx(expected, abs=1e-12)
    assert found.corpus["rouge_l"].value == pytest.approx(found.per_caption["rouge_l"].mean())


def test_meteor_takes_stems_and_cider_takes_words_in_small_letters_without_signs():
    generated = ["A red circle, MOVING left!", "two blue squares move"]
    references = [["a red circle moves left"], ["Two blue squares moved up.", "nothing"]]
    found = measured(generated, references)
    assert found.per_caption["meteor"][0] == pytest.approx(1 - 0.5 / 5**3)
    assert found.per_caption["meteor"][1] == pytest.approx(
        meteor(["two", "blue", "squar", "move"], [["two", "blue", "squar", "move", "up"]])
    )
    words = [[split_words(text) for text in right] for right in references]
    expected = cider([split_words(text) for text in generated], words)
    assert np.array_equal(found.per_caption["cider"], expected)
    assert (expected > 0).all()


def test_words_are_those_of_rouge_score_and_of_other_scripts_too():
    scorer = RougeScorer(["rouge1"])._tokenizer
    for text in ("A red, RED-ish circle's 2nd_move!", "", " ... "):
        assert split_words(text) == scorer.tokenize(text)
    assert split_words("Ένας κόκκινος κύκλος.") == ["ένας", "κόκκινος", "κύκλος"]
    found = measured(["Ένας κύκλος"], [["ένας κύκλος"]])
    assert found.per_caption["rouge_1"][0] == 1


def test_right_captions_have_the_greatest_value_and_wrong_ones_have_none():
    references = [
        ["a red circle moves left now", "nothing like it"],
        ["the blue square is falling down quickly"],
        ["green stars turn round and round"],
    ]
    right = measured([each[0] for each in references], references)
    wrong = measured(["x y z u v w", "k l m n o p", "q r s t"], references)
    for name in CAPTION_METRICS:
        greatest = 10 if name == "cider" else 1
        assert wrong.corpus[name].value == 0
        assert (wrong.per_caption[name] == 0).all()
        if name == "meteor":  # a chunk is a penalty, even the only one
            assert right.per_caption[name] == pytest.approx(
                [1 - 0.5 / len(each[0].split()) ** 3 for each in references]
            )
        elif name == "cider":  # the mean over references: the first has another
            assert right.per_caption[name] == pytest.approx([greatest / 2, greatest, greatest])
        else:
            assert right.corpus[name].value == pytest.approx(greatest)


def test_an_empty_caption_has_zero_and_counts():
    references = [["a red circle moves left"], ["a blue square moves right"]]
    found = measured(["a red circle moves left", ""], references)
    full = measured(["a red circle moves left"], references[:1])
    for name in CAPTION_METRICS:
        assert found.per_caption[name][1] == 0
        assert 0 <= found.corpus[name].value < max(full.corpus[name].value, 10)
    assert found.corpus["rouge_l"].value == pytest.approx(0.5)
    # half of the words are there: precision 1, and the brevity penalty exp(1 - 10 / 5)
    assert found.corpus["bleu_4"].value == pytest.approx(np.exp(-1))


def test_a_caption_whose_references_have_no_word_is_undefined_and_counts_nowhere():
    generated, references = captions(12)
    expected = measured(generated, references)
    found = measured([*generated, "anything", ""], [*references, ["", " ?! "], []])
    for name in CAPTION_METRICS:
        assert np.isnan(found.per_caption[name][-2:]).all()
        assert np.array_equal(found.per_caption[name][:-2], expected.per_caption[name])
        assert found.corpus[name].value == pytest.approx(expected.corpus[name].value, abs=1e-12)
    none = measured(["anything"], [[""]], resamples=10)
    for name in CAPTION_METRICS:
        assert none.corpus[name].value is None
        assert none.corpus[name].low is None


def test_a_reference_without_a_word_beside_others_changes_nothing():
    generated, references = captions(12)
    expected = measured(generated, references)
    found = measured(generated, [["", *each, "..."] for each in references])
    for name in CAPTION_METRICS:
        assert np.array_equal(found.per_caption[name], expected.per_caption[name])


def test_no_caption_at_all_is_undefined():
    found = measured([], [], resamples=3)
    assert all(each.value is None and each.high is None for each in found.corpus.values())


def test_a_resample_is_what_its_copied_captions_give():
    """BLEU by sacrebleu from the texts anew, the others by the mean of the copied captions."""
    generated, references = captions(30)
    groups = [f"group {row // 3}" for row in range(30)]
    found = measure_captions(generated, references, groups=groups, seed=4, resamples=70)
    numbers = np.array([sorted(set(groups)).index(name) for name in groups])
    values: dict[str, list[float]] = {name: [] for name in ("bleu_2", "bleu_4", "meteor", "cider")}
    for counts in np.concatenate(list(draw_groups(10, resamples=70, seed=4))).astype(int):
        rows = np.repeat(np.arange(30), counts[numbers])
        for order in (2, 4):
            streams = [
                [(references[row] + [None] * 3)[place] for row in rows] for place in range(3)
            ]
            score = SACREBLEU(max_ngram_order=order, force=True).corpus_score(
                [generated[row] for row in rows], streams
            )
            values[f"bleu_{order}"].append(score.score / 100)
        for name in ("meteor", "cider"):
            values[name].append(found.per_caption[name][rows].mean())
    for name, expected in values.items():
        low, high = middle(np.array(expected))
        assert found.corpus[name].low == pytest.approx(low, abs=1e-12)
        assert found.corpus[name].high == pytest.approx(high, abs=1e-12)
        assert low < found.corpus[name].value < high


def test_groups_are_resampled_whole():
    """All captions of one group are right and all of the other wrong: nothing lies between."""
    references = [["a red circle moves left"]] * 10
    generated = ["a red circle moves left"] * 5 + ["something else"] * 5
    groups = ["one"] * 5 + ["two"] * 5
    found = measure_captions(generated, references, groups=groups, seed=0, resamples=200)
    assert (found.corpus["rouge_1"].low, found.corpus["rouge_1"].high) == (0, 1)
    alone = [str(row) for row in range(10)]
    apart = measure_captions(generated, references, groups=alone, seed=0, resamples=200)
    assert 0 < apart.corpus["rouge_1"].low < apart.corpus["rouge_1"].high < 1


def test_a_thousand_resamples_of_two_thousand_captions_cost_little_beside_the_captions():
    generated, references = captions(2000)
    begin = time.process_time()
    none = measured(generated, references)
    without = time.process_time() - begin
    found = measured(generated, references, resamples=1000)
    assert time.process_time() - begin - without < without + 3
    assert found.corpus["bleu_4"].value == none.corpus["bleu_4"].value
    assert none.corpus["bleu_4"].low is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_of_captions_and_of_references_does_not_matter(data: st.DataObject):
    text = st.lists(st.sampled_from(["red", "Red", "moves", "moving", "."]), max_size=6).map(
        " ".join
    )
    references = data.draw(st.lists(st.lists(text, max_size=3), min_size=1, max_size=4))
    generated = [data.draw(text) for _ in references]
    order = data.draw(st.permutations(range(len(references))))
    found = measured(generated, references)
    other = measured([generated[row] for row in order], [references[row][::-1] for row in order])
    for name in CAPTION_METRICS:
        assert other.per_caption[name] == pytest.approx(
            found.per_caption[name][list(order)], abs=1e-12, nan_ok=True
        )
        value = found.corpus[name].value
        assert other.corpus[name].value == (value if value is None else pytest.approx(value))
        if value is not None:
            assert -1e-12 <= value <= (10 if name == "cider" else 1) + 1e-12


def test_without_the_extra_an_error_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rouge_score", None)  # as where it is not installed
    with pytest.raises(StudyError, match=r'rouge_score.*pip install "reelfit\[text\]"'):
        measured(["a"], [["a"]])


def test_lists_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="2 captions, 1 lists of references and 2 groups"):
        measure_captions(["a", "b"], [["a"]], groups=["1", "2"], seed=0, resamples=0)

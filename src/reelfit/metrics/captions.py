"""How well generated captions agree with their references: BLEU, ROUGE, METEOR and CIDEr-D."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from reelfit.errors import StudyError
from reelfit.metrics.bleu import ORDERS, bleu, count_sequences
from reelfit.metrics.cider import cider
from reelfit.metrics.meteor import meteor
from reelfit.metrics.metric import Values
from reelfit.metrics.resampling import draw_groups, middle, number_groups

BLEU: Final = tuple(f"bleu_{order}" for order in range(1, ORDERS + 1))
ROUGE: Final = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
CAPTION_METRICS: Final = (*BLEU, *ROUGE, "meteor", "cider")
"""Each in 0..1, but CIDEr-D in 0..10; higher is better."""
WORD: Final = re.compile(r"[^\W_]+")
"""Letters and digits of any script; of what is ASCII the words of rouge-score."""

Scores = Float64[np.ndarray, " caption"]
References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Estimate:
    """The value of all captions, and the middle 95 % of what resamples give; None if undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CaptionScores:
    """What ``measure_captions`` finds, by the names of ``CAPTION_METRICS``."""

    per_caption: dict[str, Scores]
    """NaN where no reference has a word."""
    corpus: dict[str, Estimate]


def measure_captions(
    generated: Sequence[str],
    references: References,
    *,
    groups: Sequence[str],
    seed: int,
    resamples: int,
) -> CaptionScores:
    """Every metric of each caption and of all, with intervals over resamples of whole groups.

    BLEU of all is that of the summed counts, of the resamples too; the others are means over
    captions, CIDEr-D with the weights of words that all references give, in the resamples too.
    A caption that is empty has 0 everywhere. References without a word are left out; a caption
    that has none left is undefined, and counts nowhere. docs/captions.md has the definitions.

    Memory: 66 numbers for each group.

    Raises:
        StudyError: the packages of the extra ``text`` are not installed.
        ValueError: not as many references or groups as captions.
    """
    if not len(generated) == len(references) == len(groups):
        raise ValueError(
            f"{len(generated)} captions, {len(references)} lists of references and"
            f" {len(groups)} groups: they must be as many"
        )
    require_text_packages()
    references = [[each for each in right if split_words(each)] for right in references]
    defined = np.array([bool(right) for right in references], dtype=bool)
    counts = count_sequences(generated, references).astype(np.float64)
    scores = {
        name: bleu(counts, order=order, shorter=True) for order, name in enumerate(BLEU, start=1)
    } | _by_words(generated, references)
    per_caption = {name: np.where(defined, values, np.nan) for name, values in scores.items()}
    sums = _GroupSums.of(counts, per_caption, defined, number_groups(groups))
    return CaptionScores(per_caption, _estimate(sums, seed=seed, resamples=resamples))


def split_words(text: str) -> list[str]:
    """The words of a text as ROUGE, METEOR and CIDEr-D see it: in small letters, without signs."""
    return WORD.findall(text.lower())


def require_text_packages() -> None:
    """Says so where what captions are measured with is not installed.

    Raises:
        StudyError: it is not; names the extra.
    """
    missing = [name for name in ("sacrebleu", "rouge_score") if find_spec(name) is None]
    if missing:
        raise StudyError(
            f"captions are measured with {' and '.join(missing)}, not installed here:"
            ' pip install "reelfit[text]"'
        )


@dataclass(frozen=True)
class _GroupSums:
    """What of each group adds up to the values of any set of groups."""

    counts: Float64[np.ndarray, "group 10"]
    sums: dict[str, Float64[np.ndarray, " group"]]
    captions: Float64[np.ndarray, " group"]

    @classmethod
    def of(
        cls,
        counts: Float64[np.ndarray, "caption 10"],
        scores: dict[str, Scores],
        defined: Bool[np.ndarray, " caption"],
        groups: Int64[np.ndarray, " caption"],
    ) -> "_GroupSums":
        total = int(groups.max(initial=-1)) + 1

        def summed(values: Scores) -> Float64[np.ndarray, " group"]:
            return np.bincount(groups, weights=values, minlength=total).astype(np.float64)

        columns = [summed(counts[:, column]) for column in range(counts.shape[1])]
        means = {name: summed(np.nan_to_num(scores[name])) for name in scores if name not in BLEU}
        return cls(np.stack(columns, axis=1), means, summed(defined.astype(np.float64)))

    def values(self, weights: Float64[np.ndarray, "resample group"]) -> dict[str, Values]:
        """Each metric of each resample; NaN where it holds no caption with a reference."""
        captions = weights @ self.captions
        counts = weights @ self.counts
        found = {
            name: np.where(captions > 0, bleu(counts, order=order, shorter=False), np.nan)
            for order, name in enumerate(BLEU, start=1)
        }
        for name, sums in self.sums.items():
            found[name] = np.full(len(weights), np.nan)
            np.divide(weights @ sums, captions, out=found[name], where=captions > 0)
        return found


def _estimate(sums: _GroupSums, *, seed: int, resamples: int) -> dict[str, Estimate]:
    groups = len(sums.counts)
    drawn = [sums.values(each) for each in draw_groups(groups, resamples=resamples, seed=seed)]
    whole = sums.values(np.ones((1, groups)))
    found = {}
    for name in CAPTION_METRICS:
        value = float(whole[name][0])
        bounds = middle(np.concatenate([values[name] for values in drawn] or [np.empty(0)]))
        found[name] = Estimate(None if np.isnan(value) else value, *bounds)
    return found


def _by_words(generated: Sequence[str], references: References) -> dict[str, Scores]:
    """The metrics that compare words; whatever where there is no reference."""
    words = [split_words(text) for text in generated]
    right = [[split_words(text) for text in texts] for texts in references]
    stem = _make_stemmer()
    stems = [[stem(word) for word in text] for text in words]
    right_stems = [[[stem(word) for word in text] for text in texts] for texts in right]
    return _measure_rouge(generated, references) | {
        "meteor": np.array([meteor(*each) for each in zip(stems, right_stems, strict=True)]),
        "cider": cider(words, right),
    }


class _Words:
    """For rouge-score, whose own words have no letter that is not ASCII."""

    def tokenize(self, text: str) -> list[str]:
        return split_words(text)


def _measure_rouge(generated: Sequence[str], references: References) -> dict[str, Scores]:
    """F-measures by rouge-score, without stems, each against the reference that gives it most."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE.values()), tokenizer=_Words())
    scores = {name: np.zeros(len(generated)) for name in ROUGE}
    for row, (text, right) in enumerate(zip(generated, references, strict=True)):
        if right:
            found = scorer.score_multi(right, text)
            for name, key in ROUGE.items():
                scores[name][row] = found[key].fmeasure
    return scores


def _make_stemmer() -> Callable[[str], str]:
    """Porter's, as nltk has it, which comes with rouge-score; each word is stemmed once."""
    from nltk.stem.porter import PorterStemmer

    return lru_cache(maxsize=None)(PorterStemmer().stem)

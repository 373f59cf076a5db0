"""Look-alikes are found as a search of each pair by itself finds them."""

import statistics

import numpy as np
import pytest

from reelfit.data import duplicates
from reelfit.data.duplicates import Fingerprints, as_fingerprints, near_pairs
from reelfit.errors import StudyError

Row = list[int | None]


def flipped(row: Row, bits: int, generator: np.random.Generator) -> Row:
    """The same frames with up to ``bits`` bits changed in each."""
    changed: Row = []
    for value in row:
        mask = sum(1 << int(place) for place in generator.choice(64, generator.integers(bits + 1)))
        changed.append(None if value is None else value ^ mask)
    return changed


def rows_with_look_alikes(count: int, seed: int) -> list[Row]:
    generator = np.random.default_rng(seed)
    rows: list[Row] = [
        [int(v) for v in generator.integers(0, 2**64, 5, np.uint64)] for _ in range(count)
    ]
    for place in range(0, count, 7):
        rows[place] = flipped(rows[int(generator.integers(count))], 8, generator)
    for place in range(0, count, 5):
        rows[place][int(generator.integers(5))] = None
    return rows


def searched(rows: list[Row], most_bits: int) -> list[tuple[int, int, int]]:
    found = []
    for first, row in enumerate(rows):
        for second, other in enumerate(rows[first + 1 :], first + 1):
            apart = [
                64 if a is None or b is None else (a ^ b).bit_count()
                for a, b in zip(row, other, strict=True)
            ]
            distance = statistics.median_high(apart)
            if distance <= most_bits:
                found.append((first, second, distance))
    return found


@pytest.mark.parametrize("most_bits", [0, 4, 10])
def test_the_pairs_are_those_of_a_search_one_by_one_across_blocks(monkeypatch, most_bits):
    monkeypatch.setattr(duplicates, "_ROWS", 16)
    monkeypatch.setattr(duplicates, "_COLUMNS", 24)
    rows = rows_with_look_alikes(90, 1)
    rows[88], rows[61] = rows[5], rows[6]
    found = near_pairs(as_fingerprints(rows), most_bits=most_bits)
    assert found == searched(rows, most_bits)
    assert len(found) >= 2
    own, others = (as_fingerprints(part) for part in (rows[:50], rows[50:]))
    across = near_pairs(own, most_bits=most_bits, others=others)
    assert across == [(a, b - 50, bits) for a, b, bits in found if a < 50 <= b]
    assert across


def test_black_frames_and_one_title_in_common_make_no_pair():
    first: Row = [7, None, None, None, None]
    second: Row = [7, None, None, None, 1 << 40]
    assert near_pairs(as_fingerprints([first, second, [None] * 5, [None] * 5]), most_bits=24) == []
    static: Row = [7] * 5
    assert near_pairs(as_fingerprints([first, static, static]), most_bits=0) == [(1, 2, 0)]


def test_no_video_and_one_video_have_no_pairs():
    assert near_pairs(as_fingerprints([]), most_bits=6) == []
    assert near_pairs(as_fingerprints([[1, 2]]), most_bits=6) == []


def test_too_many_pairs_are_an_error_that_names_the_setting():
    same = Fingerprints(np.ones((1500, 5), np.uint64), np.ones((1500, 5), np.bool_))
    with pytest.raises(StudyError, match=r"folds\.near_duplicates"):
        near_pairs(same, most_bits=6)

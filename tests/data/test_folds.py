"""No group ever stands on two sides of a fold, whatever the table holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelfit.data.folds import assign_folds, join_groups
from reelfit.errors import StudyError

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 1)), min_size=12, max_size=80
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 2**40))
def test_no_group_and_no_duplicate_stands_on_two_sides(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    videos = [f"{video:032x}" for video, _, _ in rows]
    given_groups = [f"g{group}" for _, group, _ in rows]
    targets = [label for _, _, label in rows]
    groups = join_groups(videos, given_groups)
    try:
        folds = assign_folds(targets, groups, count=3, seed=seed, classes=["a", "b"])
    except StudyError:  # too few groups of a class: tested below
        return
    for names in (videos, given_groups):
        sides = {
            name: {f for f, n in zip(folds, names, strict=True) if n == name} for name in names
        }
        assert all(len(side) == 1 for side in sides.values())
    assert set(folds) <= {1, 2, 3}


def test_duplicates_join_the_groups_of_all_their_rows() -> None:
    groups = join_groups(["a", "b", "a", "c", "b"], ["1", "2", "3", "4", "4"])
    assert groups[0] == groups[2]
    assert groups[1] == groups[3] == groups[4]
    assert groups[0] != groups[1]


def test_a_class_with_too_few_groups_is_named() -> None:
    with pytest.raises(StudyError, match="class fake has only 2 groups"):
        assign_folds([0] * 5 + [1] * 2, list("abcdefg"), count=3, seed=0, classes=["real", "fake"])

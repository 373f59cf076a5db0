"""No group ever stands on two sides of a fold, whatever the table holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelfit.data.folds import assign_folds, join_groups, require_loose_groups
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


def test_videos_that_look_alike_join_their_groups_in_chain() -> None:
    groups = join_groups(list("abcd"), list("1234"), alike=[("a", "c"), ("c", "d")])
    assert groups == ["1", "2", "1", "1"]


def test_look_alikes_that_leave_no_folds_name_the_largest_group_and_the_setting() -> None:
    labels, given_groups = ["real", "fake"] * 6, [str(number) for number in range(12)]
    told = {"count": 3, "classes": ["real", "fake"]}
    require_loose_groups(labels, given_groups, given_groups, **told)
    require_loose_groups(labels, given_groups, ["0"] * 6 + given_groups[6:], **told)
    with pytest.raises(StudyError, match=r"largest, 0, holds 7 of 12 .*folds\.near_duplicates"):
        require_loose_groups(labels, given_groups, ["0"] * 7 + given_groups[7:], **told)
    reals = ["0" if label == "real" else str(place) for place, label in enumerate(labels)]
    with pytest.raises(StudyError, match=r"class real has fewer groups left than folds\.count, 3"):
        require_loose_groups(labels, given_groups, reals, **told)


def test_a_group_that_the_table_itself_made_large_is_no_fault_of_look_alikes() -> None:
    labels, given_groups = ["real"] * 8 + ["fake"] * 4, ["0"] * 8 + list("abcd")
    told = {"count": 2, "classes": ["real", "fake"]}
    require_loose_groups(labels, given_groups, given_groups, **told)

"""Groups that are held out of a fold's training videos, for early stopping or a search."""

import polars as pl
import pytest

from reelfit.errors import StudyError
from reelfit.stages.fold import hold_out


def rows_of(groups: int) -> pl.DataFrame:
    """Two items in each group, with an original and a copy of each."""
    rows = [
        (f"group {group}", 2 * group + item, copy)
        for group in range(groups)
        for item in range(2)
        for copy in range(2)
    ]
    return pl.DataFrame(rows, schema=["group", "target", "copy"], orient="row")


@pytest.mark.parametrize(("groups", "count"), [(2, 1), (10, 2), (13, 3)])
def test_a_share_of_the_groups_is_held_out_where_no_target_stands_in_two(groups, count):
    rows = rows_of(groups)
    train, held = hold_out(rows, share=0.2, seed=3, stratified=False)
    assert held["group"].n_unique() == count
    assert train["group"].n_unique() == groups - count
    assert not set(train["group"]) & set(held["group"])
    assert set(held["copy"]) == {0}
    turned = rows.reverse()
    assert set(hold_out(turned, share=0.2, seed=3, stratified=False)[1]["group"]) == set(
        held["group"]
    )


@pytest.mark.parametrize("stratified", [True, False])
def test_where_all_would_be_held_out_it_is_said(stratified):
    with pytest.raises(StudyError, match=r"0\.2 of 1 groups leaves none to learn from: give more"):
        hold_out(rows_of(1), share=0.2, seed=3, stratified=stratified)

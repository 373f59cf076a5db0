from itertools import permutations
from xml.etree import ElementTree

import numpy as np
import pytest

from reelfit.report import RetrievalContent
from reelfit.report.retrieval.curves import chance_at, learned, recall_at, recall_curves


def test_the_recall_that_is_drawn_is_that_of_the_ranks():
    ranks = np.array([1.0, 1.5, 4.0, 60.0])
    found = recall_at(ranks, np.arange(1, 51))
    assert [found[0], found[1], found[3], found[49]] == [0.25, 0.5, 0.75, 0.75]


@pytest.mark.parametrize(("right", "answers"), [(1, 5), (2, 5), (3, 4), (5, 5)])
def test_chance_is_what_all_orders_reach_in_the_mean(right: int, answers: int):
    first = np.array([min(order[:right]) + 1 for order in permutations(range(answers))], float)
    ks = np.arange(1, answers + 1)
    drawn = chance_at(np.array([right]), np.array([answers]), ks)
    assert drawn == pytest.approx(recall_at(first, ks))


def test_chance_of_queries_among_different_numbers_of_answers_is_their_mean():
    ks = np.arange(1, 9)
    both = chance_at(np.array([1, 2, 2]), np.array([3, 8, 8]), ks)
    one, other = (chance_at(np.array([r]), np.array([n]), ks) for r, n in ((1, 3), (2, 8)))
    assert both == pytest.approx((one + 2 * other) / 3)
    assert both[-1] == pytest.approx(1)


def test_each_direction_is_drawn_and_is_whole_xml(retrieval: RetrievalContent):
    drawings = recall_curves(retrieval)
    assert [drawing.heading for drawing in drawings] == ["From video to text", "From text to video"]
    for drawing in drawings:
        ElementTree.fromstring(drawing.svg)
        assert "of 3 models" in drawing.svg


def test_the_learning_curves_are_the_loss_and_the_mean_of_both_directions(
    retrieval: RetrievalContent,
):
    drawings = learned(retrieval)
    assert list(drawings) == ["r2plus1d", "cnn_gru", "naive_cnn"]
    for both in drawings.values():
        assert [each.heading for each in both] == ["Loss", "R@1, mean of both directions"]


def test_without_epochs_there_is_no_learning_curve(one_retrieves: RetrievalContent):
    assert learned(one_retrieves) == {}

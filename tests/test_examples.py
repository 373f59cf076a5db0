"""The studies under examples/ are such as Reelfit reads, for the sets that it makes."""

from pathlib import Path

import pytest

from reelfit.demo import make_shapes_set
from reelfit.study import what_matters
from reelfit.study_yaml import read_study

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_study(path: Path):
    assert read_study(path, environment={}).models


def test_the_example_of_retrieval_asks_for_what_the_set_of_shapes_does(tmp_path: Path):
    made = read_study(make_shapes_set(tmp_path, combinations=20, clips_each=1), environment={})
    example = read_study(EXAMPLES / "retrieve.yaml", environment={})
    assert example.task == "retrieve"
    assert what_matters(example) == what_matters(made)
    assert example.videos.table == EXAMPLES / made.videos.table.name

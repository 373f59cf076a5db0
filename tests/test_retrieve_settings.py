"""What a study that retrieves may say, and what it may not."""

import copy
from pathlib import Path

import pytest
from pydantic import ValidationError

from reelfit.study import Study, study_hash
from reelfit.study_yaml import read_study, study_text

RETRIEVES = {
    "task": "retrieve",
    "videos": {"table": "videos.csv", "text": "caption"},
    "models": ["naive_cnn"],
}
CLASSIFIES = {"task": "classify", "videos": {"table": "videos.csv"}, "models": ["naive_cnn"]}


def study_of(tree, **changes):
    return Study.model_validate(copy.deepcopy(tree) | changes)


@pytest.mark.parametrize("tree", [RETRIEVES, CLASSIFIES], ids=lambda tree: tree["task"])
def test_a_study_with_every_default_spelled_out_is_read_as_the_same_study(tree, tmp_path: Path):
    (tmp_path / "study.yaml").write_text(study_text(study_of(tree)))
    study = read_study(tmp_path / "study.yaml", environment={})
    (tmp_path / "again.yaml").write_text(study_text(study))
    assert read_study(tmp_path / "again.yaml", environment={}) == study
    assert study_hash(study) == study_hash(study_of(tree))


@pytest.mark.parametrize(
    ("tree", "changes", "said"),
    [
        (CLASSIFIES, {"retrieve": {"dimensions": 64}}, "these are of task: retrieve"),
        (CLASSIFIES, {"evaluate": {"top": 10}}, "evaluate.top: this is of task: retrieve"),
        (RETRIEVES, {"evaluate": {"permutations": 9}}, "evaluate.permutations: this is of task"),
        (RETRIEVES, {"train": {"mixup": 0.2}}, "train.mixup: this is of task: classify"),
        (RETRIEVES, {"train": {"balance": "sampling"}}, "train.balance: this is of task: classify"),
        (RETRIEVES, {"train": {"effective_batch": 1}}, "effective_batch: 1 leaves no other text"),
        (RETRIEVES, {"retrieve": {"caption": {"width": 10}}}, "heads divide it"),
        (RETRIEVES, {"retrieve": {"masked": {"share": 0.001}}}, "hides none or all"),
        (RETRIEVES, {"retrieve": {"weight": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_the_task_or_itself_is_refused_with_its_name(tree, changes, said):
    with pytest.raises(ValidationError, match=said):
        study_of(tree, **changes)


def test_how_finished_models_are_judged_is_no_other_study():
    asked = study_hash(study_of(RETRIEVES))
    for judged in ({"top": 9}, {"bootstrap": 300}):
        assert study_hash(study_of(RETRIEVES, evaluate=judged)) == asked
    for trained in ({"dimensions": 64}, {"caption": {}}, {"masked": {}}, {"weight": [1.0, 0.0]}):
        assert study_hash(study_of(RETRIEVES, retrieve=trained)) != asked


def test_weights_of_a_text_encoder_count_by_name_wherever_they_stand():
    def with_weights(place):
        return study_hash(
            study_of(RETRIEVES, retrieve={"text": {"name": "hf_text", "weights": place}})
        )

    assert with_weights("/home/one/bert") == with_weights("/data/bert")
    assert with_weights("/data/bert") != with_weights("/data/other")

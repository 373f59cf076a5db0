"""What the task retrieve makes of the rows of a fold."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reelfit.data.tables import TEXTS, write_table
from reelfit.errors import StudyError
from reelfit.files import write_json
from reelfit.models import make_model
from reelfit.models.model import Network
from reelfit.runs import Run
from reelfit.stages.learners.pairing import Pairing
from reelfit.study import Study

TEXT = {"name": "text_transformer", "width": 16, "layers": 1, "heads": 2, "vocabulary": 270}
RIGHT = {
    "case a": ["banana banana banana", "yellow"],
    "case b": ["cherry cherry cherry"],
    "case c": ["yellow", "lemon lemon lemon"],
    "case d": ["cherry cherry cherry"],
}
VIDEOS = {"case a": 2, "case b": 1, "case c": 3, "case d": 1}
ITEMS = list(RIGHT)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Its texts, and what was settled when it began."""
    run = Run(tmp_path / "runs" / "study" / "run_1")
    unique = list(dict.fromkeys(text for texts in RIGHT.values() for text in texts))
    rows = [
        (item, ITEMS.index(item), unique.index(text), text)
        for item, texts in RIGHT.items()
        for text in texts
    ]
    kinds = {"target": pl.Int32, "text_id": pl.Int32}
    frame = pl.DataFrame(
        rows, schema=["item", "target", "text_id", "text"], orient="row", schema_overrides=kinds
    )
    run.folder.mkdir(parents=True)
    write_table(frame, run.file("texts.parquet"), TEXTS)
    write_json(run.file("run.json"), {"classes": [], "folds": [1], "most_videos": 3, "threads": 1})
    return run


def study_of(**changes) -> Study:
    return Study.model_validate(
        {
            "task": "retrieve",
            "videos": {"table": "videos.csv", "text": "caption"},
            "models": ["naive_cnn"],
            "retrieve": {"text": TEXT, "dimensions": 16, "width": 24},
            "clips": {"frames": 4, "size": 32, "copies": 0, "augment": "none"},
        }
        | changes
    )


def rows_of(items: list[str], *, copies: int = 0) -> pl.DataFrame:
    """Clips as the manifest has them; where one begins says whose it is and which copy."""
    rows = []
    for item in items:
        for video in range(VIDEOS[item]):
            for copy in range(copies + 1):
                number = ITEMS.index(item)
                identity = f"{9 - number}{video}" * 16
                place = 1000 * number + 100 * video + 10 * copy
                rows.append(
                    (number, item, f"group {number}", copy, identity, "a.tar", place, 10, 7)
                )
    names = ["target", "label", "group", "copy", "video_id", "shard", "offset", "bytes", "crc32"]
    kinds = {"target": pl.Int32, "copy": pl.Int32}
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides=kinds)


def clips_of(samples) -> list[list[int]]:
    """Of each sample where its clips begin."""
    begins = samples.clips.manifest["offset"].to_list()
    bounds = samples.first.tolist()
    return [begins[a:b] for a, b in itertools.pairwise(bounds)]


def texts_of(samples) -> list[list[str]]:
    """Of each sample its right texts."""
    return [[samples.texts.texts[row] for row in samples.texts.of(s)] for s in range(len(samples))]


def test_words_are_learnt_from_the_texts_that_are_trained_on_in_any_order(run: Run):
    rows = rows_of(["case b", "case d"])
    one = Pairing(run, study_of(), rows)
    assert one.tokenizer == Pairing(run, study_of(), rows.reverse()).tokenizer
    assert one.tokenizer == one.encoder.tokenizer(["cherry cherry cherry"])
    assert one.tokenizer != Pairing.to_rehearse(run, study_of()).tokenizer
    unseen = one.judged_set(rows_of(["case a"]), None)
    read = one.tokenizer.decode(unseen.texts.tokens)
    assert read == ["banana banana banana", "yellow"]  # of bytes, where no word is known


def test_a_sample_is_all_clips_of_an_item_that_are_of_one_copy(run: Run):
    study = study_of(clips={"frames": 4, "size": 32, "copies": 1, "augment": "light"})
    rows = rows_of(["case a", "case c"], copies=1)
    samples = Pairing(run, study, rows).training_set(rows, None)
    assert clips_of(samples) == [[0, 100], [10, 110], [2000, 2100, 2200], [2010, 2110, 2210]]
    both = [["banana banana banana", "yellow"], ["yellow", "lemon lemon lemon"]]
    assert texts_of(samples) == [both[0], both[0], both[1], both[1]]


def test_samples_do_not_depend_on_the_order_of_rows(run: Run):
    rows = rows_of(ITEMS, copies=1)
    study = study_of(clips={"frames": 4, "size": 32, "copies": 1, "augment": "light"})
    turned = rows.sample(fraction=1.0, shuffle=True, seed=4)
    one, other = (Pairing(run, study, each).training_set(each, None) for each in (rows, turned))
    assert clips_of(one) == clips_of(other)
    assert texts_of(one) == texts_of(other)
    assert np.array_equal(one.texts.numbers, other.texts.numbers)
    assert one.texts.tokens.equal(other.texts.tokens)


def test_copies_that_are_made_when_read_are_samples_of_the_original_clips(run: Run):
    clips = {"frames": 4, "size": 32, "copies": 2, "store": "originals", "augment": "light"}
    rows = rows_of(["case a", "case b"])
    learner = Pairing(run, study_of(clips=clips), rows)
    samples = learner.training_set(rows, None)
    assert clips_of(samples) == [[0, 100]] * 3 + [[1000]] * 3
    assert samples.clips.in_epoch is not None
    assert len(learner.judged_set(rows, None)) == 2
    assert learner.judged_set(rows, None).clips.in_epoch is None


def test_items_of_one_text_and_copies_of_one_item_are_positives_of_each_other(run: Run):
    study = study_of(clips={"frames": 4, "size": 32, "copies": 1, "augment": "light"})
    rows = rows_of(ITEMS, copies=1)
    numbers = Pairing(run, study, rows).training_set(rows, None).texts.numbers.tolist()
    a, b, c, d = (numbers[place : place + 2] for place in (0, 2, 4, 6))
    assert a == c  # "yellow" is right for both
    assert b == d
    assert len(set(a)) == len(set(b)) == 1
    assert a != b


def test_texts_that_no_item_of_a_set_has_are_not_in_it(run: Run):
    rows = rows_of(["case b"])
    samples = Pairing(run, study_of(), rows_of(ITEMS)).judged_set(rows, None)
    assert samples.texts.texts == ["cherry cherry cherry"]
    assert len(samples.texts.tokens) == 1


@pytest.mark.parametrize(
    ("how", "frames", "said"),
    [
        ({"segments": 5}, 4, "retrieve.segments: 4 frames cannot be cut into 5 segments"),
        ({"masked": {"steps": 8, "grid": 4}}, 4, "retrieve.masked.steps: 8 steps of clips of 4"),
        ({"masked": {"grid": 20}}, 4, "20 patches of 2 cells are more than the 32 pixels"),
        ({"segments": 4, "masked": {"grid": 4}}, 4, None),
    ],
)
def test_clips_too_short_or_too_small_are_refused_before_anything_is_decoded(
    run: Run, how, frames, said
):
    learner = Pairing(run, study_of(retrieve={"text": TEXT} | how), rows_of(ITEMS))
    told = learner.refusal_of(frames=frames, size=(32, 40))
    assert told is None if said is None else told is not None and said in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"name": "nothing"}, "nothing is not a text encoder; known: hf_text, text_transformer"),
        (TEXT | {"widht": 3}, "has no option widht; did you mean width?"),
        (TEXT | {"heads": 3}, "heads: 3 do not divide"),
        ({"name": "hf_text", "weights": "./nowhere"}, "is not a folder with a checkpoint"),
        ({"name": "hf_text", "kind": "resnet"}, "resnet has no sizes here"),
        (
            {"name": "hf_text", "config": {"max_position_embeddings": 8}},
            "a text of 64 tokens is longer than the 8 of bert",
        ),
    ],
)
def test_a_text_encoder_that_cannot_be_built_is_named_at_its_place(run: Run, text, said):
    with pytest.raises(StudyError, match=said) as told:
        Pairing(run, study_of(retrieve={"text": text}), rows_of(ITEMS)).check()
    assert told.value.place == ("retrieve", "text")


def test_a_rehearsal_has_no_fewer_words_than_any_fold(run: Run):
    rehearsed = Pairing.to_rehearse(run, study_of())
    for left_out in ITEMS:
        items = [item for item in ITEMS if item != left_out]
        assert Pairing(run, study_of(), rows_of(items)).tokenizer.size <= rehearsed.tokenizer.size


def test_the_network_has_the_parts_that_the_study_trains(run: Run):
    model = make_model("naive_cnn", {"channels": [8]})
    assert isinstance(model, Network)
    bare = Pairing(run, study_of(), rows_of(ITEMS)).build(model)
    assert bare.caption is None
    assert bare.masked is None
    how = {"text": TEXT, "caption": {"width": 16}, "masked": {"grid": 4}, "loss": "sigmoid"}
    learner = Pairing(run, study_of(retrieve=how), rows_of(ITEMS))
    network = learner.build(model)
    assert network.caption is not None
    assert network.masked is not None
    assert network.bias is not None
    assert learner.seeing(network) is network.video

"""Any network can be the video encoder, beside any text encoder and both heads."""

from pathlib import Path

import polars as pl
import pytest
import torch

from reelfit.data.tables import TEXTS, write_table
from reelfit.models import MODELS, make_model
from reelfit.models.model import Network
from reelfit.runs import Run
from reelfit.stages.learners.pairing import Pairing
from reelfit.study import Study
from reelfit.text_encoders import TEXT_ENCODERS
from reelfit.training.optimizer import Descent, make_optimizer

NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, Network)]
PARTS = ("video", "text", "caption", "masked", "pooling")


@pytest.fixture
def learner_of(tmp_path: Path):
    """Takes text encoder, loss and settings of training."""
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    texts = pl.DataFrame(
        {"item": ["a", "b"], "target": [0, 1], "text_id": [0, 1], "text": ["red", "blue"]},
        schema_overrides={"target": pl.Int32, "text_id": pl.Int32},
    )
    write_table(texts, run.file("texts.parquet"), TEXTS)

    def make(text: str, loss: str, **train) -> Pairing:
        how = {"text": {"name": text, "vocabulary": 300}, "loss": loss, "segments": 2}
        tree = {
            "task": "retrieve",
            "videos": {"table": "videos.csv", "text": "caption"},
            "models": ["naive_cnn"],
            "retrieve": how | {"caption": {"width": 32}, "masked": {"grid": 4}},
            "train": train,
        }
        return Pairing.to_rehearse(run, Study.model_validate(tree))

    return make


def with_every_part(learner: Pairing, name: str):
    """The model and the whole network, without memory for its weights."""
    model = make_model(name, {})
    assert isinstance(model, Network)
    with torch.device("meta"):
        return model, learner.build(model)


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid"])
@pytest.mark.parametrize("text", list(TEXT_ENCODERS))
@pytest.mark.parametrize("name", NETWORKS)
def test_every_trained_parameter_is_in_exactly_one_group_of_the_optimizer(
    learner_of, name, text, loss
):
    learner = learner_of(text, loss)
    model, network = with_every_part(learner, name)
    trained = {key: p for key, p in network.named_parameters() if p.requires_grad}
    for part in PARTS:
        assert any(key.startswith(f"{part}.") for key in trained), part
    factors = learner.rate_factors(model, network)
    assert factors.keys() <= dict(network.named_parameters()).keys()
    for descent in (Descent("adamw"), Descent("sgd", momentum=0.9)):
        optimizer = make_optimizer(
            network, learning_rate=0.1, weight_decay=0.1, descent=descent, factors=factors
        )
        grouped = [p for group in optimizer.param_groups for p in group["params"]]
        assert sorted(map(id, grouped)) == sorted(map(id, trained.values()))
        kept = {id(p) for g in optimizer.param_groups if not g["weight_decay"] for p in g["params"]}
        scalars = [p for key, p in trained.items() if key in ("temperature", "bias")]
        assert len(scalars) == (2 if loss == "sigmoid" else 1)
        assert {id(scalar) for scalar in scalars} <= kept


def test_layers_of_the_video_encoder_decay_and_what_stands_beside_it_does_not(learner_of):
    learner = learner_of("text_transformer", "info_nce", layer_decay=0.5)
    model, network = with_every_part(learner, "videomae")
    factors = learner.rate_factors(model, network)
    assert {key.partition(".")[0] for key in factors} == {"video"}
    assert min(factors.values()) < 0.5

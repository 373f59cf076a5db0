"""A checkpoint is whole and of the right kind, or refused with what is wrong with it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, VideoMAEForPreTraining

from reelfit.data.checkpoint_files import by_content, checkpoint_digest
from reelfit.errors import StudyError
from reelfit.models import make_model
from reelfit.study import ModelChoice, study_hash, what_matters_of
from reelfit.study_yaml import read_study
from small_checkpoints import save_small, small_model


def build(name: str, weights: Path, **options: object) -> torch.nn.Module:
    return make_model(name, {"weights": str(weights)} | options).build(num_outputs=3)


def change_weights(folder: Path, change: dict[str, torch.Tensor | None]) -> None:
    """Replaces, adds, or with None removes weights of a checkpoint."""
    weights = load_file(folder / "model.safetensors") | change
    kept = {name: value for name, value in weights.items() if value is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small("videomae", tmp_path_factory.mktemp("saved") / "videomae")


@pytest.fixture
def broken(saved: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be broken."""
    return Path(shutil.copytree(saved, tmp_path / "broken"))


def test_every_weight_of_the_encoder_comes_from_the_checkpoint(saved):
    encoder, reference = build("videomae", saved).encoder.model, small_model("videomae").videomae
    found, wanted = encoder.state_dict(), reference.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_what_stands_above_the_encoder_may_be_new(tmp_path):
    for number, kind in enumerate((VideoMAEForPreTraining, AutoModel)):
        folder, whole = tmp_path / str(number), small_model("videomae")
        if kind is VideoMAEForPreTraining:
            made = kind(whole.config)
            made.videomae.load_state_dict(whole.videomae.state_dict())
        else:
            made = whole.videomae
        made.save_pretrained(folder)
        found = build("videomae", folder).encoder.model.state_dict()
        wanted = whole.videomae.state_dict()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_the_new_parts_are_drawn_by_the_seed(saved):
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(build("videomae", saved).head.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_half_precision_on_disk_is_trained_in_single(tmp_path):
    small_model("vit").half().save_pretrained(tmp_path / "w")
    network = build("vit_gru", tmp_path / "w")
    assert {p.dtype for p in network.parameters()} == {torch.float32}


LAYER = "videomae.encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({LAYER: None}, f"missing: {LAYER}$"),
        ({LAYER: torch.zeros(3, 4)}, rf"of another shape: {LAYER} \(3, 4\) in place of \(24, 48\)"),
        ({"videomae.encoder.layer.7.x": torch.zeros(1)}, "unexpected: videomae.encoder.layer.7.x"),
        (
            {f"videomae.encoder.layer.{n}.output.dense.bias": None for n in range(3)}
            | {f"videomae.encoder.layer.{n}.output.dense.weight": None for n in range(3)}
            | {f"videomae.encoder.layer.{n}.layernorm_before.weight": None for n in range(3)},
            "missing: .* and 3 more",
        ),
    ],
)
def test_a_wrong_checkpoint_is_refused_with_what_is_wrong(broken, change, said, device):
    change_weights(broken, change)
    with pytest.raises(StudyError, match=said) as refused, torch.device(device):
        build("videomae", broken)
    assert "is not a whole checkpoint of videomae" in str(refused.value)


def test_a_checkpoint_that_cannot_be_read_is_refused(broken):
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(StudyError, match="broken cannot be read: "):
        build("videomae", broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(
        StudyError, match=r"broken has no \*\.safetensors; a checkpoint is a folder"
    ):
        build("videomae", broken)
    (broken / "config.json").write_text("{")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(StudyError, match=r"broken: .*config\.json.* is not a valid JSON"):
        build("videomae", broken)


def test_a_checkpoint_of_another_kind_is_refused(saved, tmp_path):
    images = save_small("vit", tmp_path / "images")
    with pytest.raises(StudyError, match="is a checkpoint of vit, not videomae"):
        build("videomae", images)
    with pytest.raises(StudyError, match="videomae sees clips, not frames"):
        build("vit_gru", saved)
    with pytest.raises(StudyError, match="encoder: swin is asked for, and the weights are of vit"):
        build("vit_gru", images, encoder="swin")
    sizes = {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8, "layer_type": "basic"}
    batch_norm = save_small("resnet", tmp_path / "batch_norm", **sizes)
    with pytest.raises(StudyError, match="resnet has batch norm"):
        build("vit_gru", batch_norm)


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match="nowhere is not a folder with a checkpoint"):
        build("videomae", tmp_path / "nowhere")
    with pytest.raises(StudyError, match="owner/name is no folder here, and the hub did not give"):
        build("videomae", Path("owner/name"))
    with pytest.raises(StudyError, match="cannot be a name of the hub"):
        build("videomae", Path("no name"))


def test_too_many_last_blocks_are_refused(saved):
    with pytest.raises(StudyError, match="last_blocks: 4 blocks are to learn, and there are 3"):
        build("videomae", saved, train="last_blocks", last_blocks=4)


@pytest.mark.parametrize(
    ("said", "mean", "std"),
    [
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}, (0.1, 0.2, 0.3), (1, 2, 3)),
        ({"do_normalize": False, "image_mean": [0.1] * 3}, (0, 0, 0), (1, 1, 1)),
        (
            {"offset": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
            (0.75,) * 3,
            (0.25,) * 3,
        ),
        (None, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_clips_are_normalised_as_the_checkpoint_says(broken, said, mean, std):
    if said is not None:
        (broken / "preprocessor_config.json").write_text(json.dumps(said))
    needs = make_model("videomae", {"weights": str(broken)}).needs()
    assert needs.mean == pytest.approx(mean)
    assert needs.std == pytest.approx(std)


def test_a_checkpoint_is_known_by_what_it_holds_wherever_it_stands(saved, broken):
    assert checkpoint_digest(str(saved)) == checkpoint_digest(str(broken)) != ""
    before = checkpoint_digest(str(broken))
    change_weights(broken, {"videomae.encoder.layer.0.output.dense.bias": torch.ones(24)})
    changed = checkpoint_digest(str(broken))
    (broken / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0]}')
    assert len({before, changed, checkpoint_digest(str(broken))}) == 3
    assert checkpoint_digest("/no/such/folder") == ""
    assert by_content({"channels": [8]}) == {"channels": [8]}


def test_weights_start_from_the_folder_of_the_study(saved, tmp_path):
    texts = ["weights/small", str(saved), "owner/name", "./nowhere"]
    for name in ("one", "two"):
        shutil.copytree(saved, tmp_path / name / "weights" / "small")
        models = [{"name": "videomae", "id": f"m{n}", "weights": w} for n, w in enumerate(texts)]
        study = {"videos": {"folder": "videos"}, "models": models}
        (tmp_path / name / "study.yaml").write_text(json.dumps(study))
    one, two = (read_study(tmp_path / name / "study.yaml") for name in ("one", "two"))
    assert [Path(choice.options["weights"]) for choice in one.models] == [
        tmp_path / "one" / "weights" / "small",
        saved,
        Path("owner/name"),
        tmp_path / "one" / "nowhere",
    ]
    assert study_hash(one) == study_hash(two)
    assert what_matters_of(one.models)[0] == what_matters_of(two.models)[0]
    asked = ModelChoice(name="videomae", id="m0", weights=str(saved))
    assert what_matters_of([asked]) == what_matters_of(one.models[:1])

"""A recipe that cannot be trained is one message with its line, before any work."""

from pathlib import Path

import pytest
import torch

from command_line import STUDY, reelfit
from reelfit.errors import StudyError
from reelfit.study_yaml import read_study


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ("momentum: 0.5", ["study.yaml:8: train: momentum is SGD's"]),
        ("mix_up: 0.5", ["study.yaml:8: train.mix_up is not a setting", "train.mixup?"]),
        ("schedule: step", ["study.yaml:8: train: schedule: step needs drop_every"]),
    ],
)
def test_a_mistake_in_a_recipe_is_named_with_its_line(
    tmp_path: Path, train: str, says: list[str]
) -> None:
    assert "train: {" in STUDY
    (tmp_path / "study.yaml").write_text(STUDY.replace("train: {", f"train: {{{train}, "))
    with pytest.raises(StudyError) as told:
        read_study(tmp_path / "study.yaml", environment={})
    for part in says:
        assert part in str(told.value)


def _small_study(folder: Path, rest: str) -> Path:
    for name in ("real", "fake"):
        (folder / "clips" / name).mkdir(parents=True)
        (folder / "clips" / name / "a.mp4").write_bytes(name.encode())
    study = folder / "study.yaml"
    study.write_text(f"videos: {{folder: clips}}\n{rest}")
    return study


def test_a_network_without_depths_cannot_be_asked_for_layer_decay(tmp_path: Path) -> None:
    rest = "models: [naive_cnn]\ntrain:\n  epochs: 1\n  layer_decay: 0.75\n"
    done = reelfit("run", _small_study(tmp_path, rest))
    assert done.returncode == 2
    assert "study.yaml:5: train.layer_decay: this model does not say how deep" in done.stderr
    assert "naive_cnn" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU these gradients are right")
def test_bfloat16_is_refused_for_3d_convolutions_on_a_processor(tmp_path: Path) -> None:
    rest = "models: [naive_cnn, r2plus1d]\ntrain:\n  precision: bfloat16\n"
    done = reelfit("plan", _small_study(tmp_path, rest))
    assert done.returncode == 2
    assert "study.yaml:4: train.precision: r2plus1d has 3D convolutions" in done.stderr

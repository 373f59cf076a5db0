"""Checkpoints are whole or absent, and a damaged one is never used."""

from pathlib import Path

import pytest
import torch

from reelfit.errors import CheckpointError
from reelfit.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


def saved(path: Path, value: float) -> Checkpoint:
    tensors = {"weight": torch.full((3, 2), value), "steps": torch.tensor(7)}
    save_checkpoint(path, Checkpoint(tensors, {"epoch": value}))
    return Checkpoint(tensors, {"epoch": value})


def test_what_was_saved_comes_back_with_the_same_bits(tmp_path: Path) -> None:
    wanted = saved(tmp_path / "a.safetensors", 0.1)
    found = load_checkpoint(tmp_path / "a.safetensors")
    assert found.facts == wanted.facts
    assert all(torch.equal(found.tensors[name], wanted.tensors[name]) for name in wanted.tensors)


@pytest.mark.parametrize("place", [-1, -20, 40])
def test_one_damaged_byte_is_seen_and_the_one_before_is_taken(tmp_path: Path, place: int) -> None:
    saved(tmp_path / "epoch_001.safetensors", 1.0)
    saved(tmp_path / "latest.safetensors", 2.0)
    content = bytearray((tmp_path / "latest.safetensors").read_bytes())
    content[place] ^= 1
    (tmp_path / "latest.safetensors").write_bytes(content)
    found, set_aside = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.facts == {"epoch": 1.0}
    assert len(set_aside) == 1
    assert (tmp_path / "latest.safetensors.damaged").exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latest.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        load_checkpoint(tmp_path / "latest.safetensors")

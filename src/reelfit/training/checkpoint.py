"""Checkpoints: whole or absent, with a checksum, and read without running code."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reelfit.errors import CheckpointError
from reelfit.files import write_whole

SUFFIX = ".safetensors"
_FORMAT = "reelfit 1"


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors, and facts that are JSON values."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint beside ``path`` and renames it there.

    Memory: one contiguous copy on the host of what is not there already.

    Raises:
        RunError: the disk is full; what stood at ``path`` still stands.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    facts = json.dumps(checkpoint.facts, sort_keys=True)
    header = {"format": _FORMAT, "facts": facts, "checksum": _checksum(tensors, facts)}
    write_whole(path, lambda beside: _write(beside, tensors, header))


def _write(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=header)
    except SafetensorError as error:  # the system's error, told in words alone
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in ``path``, on the host.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint of Reelfit.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
            if header.get("format") != _FORMAT:
                raise CheckpointError(f"{path} was not written by this version of Reelfit")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: {error}") from None
    facts = header.get("facts", "")
    if _checksum(tensors, facts) != header.get("checksum"):
        raise CheckpointError(f"{path} is damaged: its checksum differs")
    return Checkpoint(tensors, json.loads(facts))


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of ``latest`` and the ``epoch_*``, and what was set aside.

    A damaged one is renamed to ``*.damaged``, and the one before it is taken.
    """
    set_aside: list[str] = []
    for path in [folder / f"latest{SUFFIX}", *_epochs(folder)]:
        if not path.exists():
            continue
        try:
            return load_checkpoint(path), set_aside
        except CheckpointError as error:
            path.replace(path.with_name(path.name + ".damaged"))
            set_aside.append(str(error))
    return None, set_aside


def drop_old_epochs(folder: Path, *, keep: int) -> None:
    """Leaves the ``keep`` newest ``epoch_*`` checkpoints."""
    for path in _epochs(folder)[keep:]:
        path.unlink(missing_ok=True)


def _epochs(folder: Path) -> list[Path]:
    """The checkpoints of epochs, newest first; by number, for 1000 comes after 999."""
    found = folder.glob(f"epoch_*{SUFFIX}")
    return sorted(found, key=lambda path: int(path.stem.removeprefix("epoch_")), reverse=True)


def _checksum(tensors: dict[str, Tensor], facts: str) -> str:
    told = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        told.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        told.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return told.hexdigest()

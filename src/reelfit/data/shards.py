"""Clips in plain tar files: written whole, found by offset, read with one ``pread`` each.

Members are ``<video_id>.<copy>.npy`` (uint8, ``time 3 height width``) and ``.json``, in USTAR form
with no times in them, so that the same clips give the same bytes and webdataset reads them too.
"""

import io
import json
import math
import os
import tarfile
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.lib import format as npy

from reelfit.errors import RunError
from reelfit.files import write_whole

_BLOCK = 512  # of a tar: a member's bytes begin one block after its header


@dataclass(frozen=True)
class Clip:
    """One clip to be stored; ``augmentation`` is empty for the original, copy 0."""

    video_id: str
    copy: int
    pixels: UInt8[np.ndarray, "time 3 height width"]
    frames: list[int]
    augmentation: dict[str, Any]


def write_shard(path: Path, clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """Writes ``clips`` to ``path``, whole or not at all; gives back their rows of the manifest.

    Memory: one clip.

    Raises:
        RunError: the disk is full.
    """
    rows: list[dict[str, Any]] = []

    def write(beside: Path) -> None:
        with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as tar:
            rows.extend(_add_clip(tar, clip) | {"shard": path.name} for clip in clips)

    write_whole(path, write)
    return rows


def _add_clip(tar: tarfile.TarFile, clip: Clip) -> dict[str, Any]:
    stored = io.BytesIO()
    np.save(stored, clip.pixels, allow_pickle=False)
    key = f"{clip.video_id}.{clip.copy}"
    offset = tar.offset + _BLOCK
    _add_member(tar, f"{key}.npy", stored.getvalue())
    facts = {"frames": clip.frames, "augmentation": clip.augmentation}
    _add_member(tar, f"{key}.json", json.dumps(facts, sort_keys=True).encode())
    return {
        "video_id": clip.video_id,
        "copy": clip.copy,
        "offset": offset,
        "bytes": len(stored.getbuffer()),
        "frames": clip.frames,
        "augmentation": json.dumps(clip.augmentation, sort_keys=True),
    }


def _add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@dataclass
class ShardReader:
    """Reads clips of the shards in one folder, at offsets from the manifest, in any order.

    Memory: the clip that is read, and one open file per shard asked for.
    """

    folder: Path
    _opened: dict[str, int] = field(default_factory=dict)

    def read(
        self, shard: str, *, offset: int, num_bytes: int
    ) -> UInt8[np.ndarray, "time 3 height width"]:
        """The pixels of one clip.

        Raises:
            RunError: the shard is missing, cut short or holds something else there.
        """
        if shard not in self._opened:
            try:
                self._opened[shard] = os.open(self.folder / shard, os.O_RDONLY)
            except OSError as error:
                raise RunError(
                    f"{self.folder / shard}: {error.strerror}: run with --fresh"
                ) from None
        content = os.pread(self._opened[shard], num_bytes, offset)
        try:
            return _clip_in(content)
        except ValueError as error:
            raise RunError(
                f"{self.folder / shard}: damaged at byte {offset}: {error}; delete this shard and "
                "run with --fresh: its clips are made anew"
            ) from None

    def close(self) -> None:
        """Closes the shards."""
        while self._opened:
            os.close(self._opened.popitem()[1])

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _clip_in(content: bytes) -> UInt8[np.ndarray, "time 3 height width"]:
    stream = io.BytesIO(content)
    try:
        npy.read_magic(stream)
        shape, _, kind = npy.read_array_header_1_0(stream)
    except (SyntaxError, TypeError, tokenize.TokenError) as error:  # of one byte changed in it
        raise ValueError(f"no header of an array: {error}") from None
    if kind != np.uint8 or len(shape) != 4:
        raise ValueError(f"no clip stands there but {kind} of shape {shape}")
    if math.prod(shape) != len(content) - stream.tell():  # before memory for it is asked for
        raise ValueError(f"{len(content)} bytes do not hold a clip of shape {shape}")
    stream.seek(0)
    pixels: np.ndarray = npy.read_array(stream, allow_pickle=False)
    return pixels

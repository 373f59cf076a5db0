"""Clips in plain tar files: written whole, found by offset, read with one ``pread`` each.

Members are ``<video_id>.<copy>.npy`` (uint8, ``time 3 height width``), or one ``.jpg`` a frame, and
``.json``, in USTAR form with no times in them, so that the same clips give the same bytes and
webdataset reads them too.
"""

import json
import os
import tarfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from reelfit.data.stored_clip import BLOCK, Clip, Store, clip_in, members_of, padded
from reelfit.errors import RunError
from reelfit.files import append_json_line, disk_errors, read_json_lines, sync_folder

__all__ = ["Clip", "ShardReader", "ShardWriter", "index_shard", "write_shard"]


class ShardWriter:
    """Fills a shard, video by video; where it was killed, it goes on after the last whole one.

    The shard grows at ``making``, with a line for each video beside it, and moves to ``path`` when
    it is whole. The bytes are the same however often it was begun. Memory: the clips of one video.
    """

    def __init__(
        self, path: Path, *, making: Path, store: Store = "uint8", quality: int = 95
    ) -> None:
        self.path, self.making, self.store, self.quality = path, making, store, quality
        self.lines = making.with_suffix(".lines.jsonl")
        self.rows: list[dict[str, Any]] = []
        """Of the manifest, as far as the shard is made."""
        self._end = 0
        making.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(path):
            self._file = making.open("r+b" if making.exists() else "w+b")
            self._go_on()

    def add(self, clips: Iterable[Clip], *, facts: dict[str, Any]) -> None:
        """The clips of one video, whose rows get ``facts`` too; without clips they are the row.

        Raises:
            RunError: the disk is full; what was added before is whole.
        """
        begin = end = self._end
        rows, made = [], []
        for clip in clips:
            row, content = self._row_and_bytes(clip, at=end)
            rows.append(row | facts)
            made.append(content)
            end += len(content)
        line = {"begin": begin, "end": end, "rows": rows or [facts]}
        with disk_errors(self.path):
            self._file.writelines(made)
            self._file.flush()
            append_json_line(self.lines, line)
        self._end = end
        self.rows += rows or [facts]

    def finish(self) -> list[dict[str, Any]]:
        """Closes the shard and moves it to its place; gives back the rows of its manifest."""
        with disk_errors(self.path):
            closing = 2 * BLOCK
            closing += -(self._end + closing) % tarfile.RECORDSIZE
            self._file.write(bytes(closing))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.making.replace(self.path)
            sync_folder(self.path.parent)
        self.lines.unlink(missing_ok=True)
        return self.rows

    def close(self) -> None:
        """Leaves the shard as it is, to be gone on with."""
        with suppress(OSError):  # of a full disk, which was told where it was met
            self._file.close()

    def _go_on(self) -> None:
        """Takes up what an earlier writer made, up to the first video that is not whole."""
        end, size, kept = 0, self.making.stat().st_size, []
        for line in read_json_lines(self.lines):
            if line["begin"] != end or line["end"] > size or not self._stands(line["rows"]):
                break
            end = line["end"]
            kept.append(json.dumps(line) + "\n")
            self.rows += line["rows"]
        if self.making.is_file() and size != end:
            self._file.truncate(end)
        self.lines.write_text("".join(kept))
        self._file.seek(end)
        self._end = end

    def _stands(self, rows: list[dict[str, Any]]) -> bool:
        """Whether the bytes are those that were written: a power cut may have lost them."""
        for row in rows:
            if "offset" in row:
                self._file.seek(row["offset"])
                if zlib.crc32(self._file.read(row["bytes"])) != row["crc32"]:
                    return False
        return True

    def _row_and_bytes(self, clip: Clip, *, at: int) -> tuple[dict[str, Any], bytes]:
        *pictures, described = members_of(clip, self.store, quality=self.quality)
        content = b"".join(_member(name, content) for name, content in pictures)
        first, last = 0, len(content)
        if self.store == "uint8":  # the array alone, as any reader of its offset finds it
            first, last = BLOCK, BLOCK + len(pictures[0][1])
        row = {
            "video_id": clip.video_id,
            "copy": clip.copy,
            "shard": self.path.name,
            "offset": at + first,
            "bytes": last - first,
            "crc32": zlib.crc32(memoryview(content)[first:last]),
            "frames": clip.frames,
            "augmentation": json.dumps(clip.augmentation, sort_keys=True),
        }
        return row, content + _member(*described)


def _member(name: str, content: bytes) -> bytes:
    """One file of a tar: its header, its bytes, and zeros to the next whole block."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    padding = bytes(padded(len(content)) - len(content))
    return member.tobuf(tarfile.USTAR_FORMAT) + content + padding


def write_shard(
    path: Path, clips: Iterable[Clip], *, store: Store = "uint8", quality: int = 95
) -> list[dict[str, Any]]:
    """Writes ``clips`` to ``path``, whole or not at all; gives back their rows of the manifest.

    Memory: one clip.

    Raises:
        RunError: the disk is full.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    writer = ShardWriter(path, making=making, store=store, quality=quality)
    try:
        for clip in clips:
            writer.add([clip], facts={})
        return writer.finish()
    finally:
        writer.close()
        making.unlink(missing_ok=True)
        writer.lines.unlink(missing_ok=True)


def index_shard(path: Path) -> list[dict[str, Any]]:
    """Where the clips of any plain tar lie whose members are ``<key>[.<copy>].npy``.

    So a shard is read that webdataset or any tar program wrote. Rows have ``key``, ``shard``,
    ``offset`` and ``bytes``. Nothing is unpacked; links, devices and folders are not followed.

    Raises:
        RunError: the file is no uncompressed tar, or a member is no plain file.
    """
    rows = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg():
                    raise RunError(f"{path}: {member.name} is no plain file: not a shard of clips")
                if member.name.endswith(".npy"):
                    facts = {"key": member.name.removesuffix(".npy"), "shard": path.name}
                    rows.append(facts | {"offset": member.offset_data, "bytes": member.size})
    except (tarfile.TarError, OSError) as error:
        raise RunError(f"{path}: no plain tar: {error}") from None
    return rows


@dataclass
class ShardReader:
    """Reads clips of the shards in one folder, at offsets from the manifest, in any order.

    Several threads may read at once. Memory: the clips that are read, and one open file per shard
    asked for.
    """

    folder: Path
    _opened: dict[str, tuple[int, set[int]]] = field(default_factory=dict)
    """By shard: its file, and the offsets whose checksum was seen to be right."""

    def read(
        self, shard: str, *, offset: int, num_bytes: int, crc32: int | None = None
    ) -> UInt8[np.ndarray, "time 3 height width"]:
        """The pixels of one clip; with its checksum, that is looked at the first time.

        Raises:
            RunError: the shard is missing, cut short or holds something else there.
        """
        file, checked = self._opened.get(shard) or self._open(shard)
        content = np.empty(num_bytes, np.uint8)
        got = os.preadv(file, [content.data], offset)
        if got < num_bytes:
            content = content[:got]
        try:
            if crc32 is not None and offset not in checked:
                if zlib.crc32(content.data) != crc32:
                    raise ValueError("the bytes are not those that were written")
                checked.add(offset)
            return clip_in(content)
        except ValueError as error:
            raise RunError(
                f"{self.folder / shard}: damaged at byte {offset}: {error}; delete this shard and "
                "run with --fresh: its clips are made anew"
            ) from None

    def _open(self, shard: str) -> tuple[int, set[int]]:
        try:
            file = os.open(self.folder / shard, os.O_RDONLY)
        except OSError as error:
            raise RunError(f"{self.folder / shard}: {error.strerror}: run with --fresh") from None
        kept = self._opened.setdefault(shard, (file, set()))
        if kept[0] != file:  # another thread was quicker
            os.close(file)
        return kept

    def close(self) -> None:
        """Closes the shards."""
        while self._opened:
            os.close(self._opened.popitem()[1][0])

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

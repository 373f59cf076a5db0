"""Files that are whole or absent, lines that survive a kill, and digests of values."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reelfit.errors import RunError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full disk, met while writing ``path``, into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"no room left on the disk while writing {path}; what stood there before is whole. "
            "Make room, then give the same command again: it goes on from there"
        ) from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Lets ``write`` fill a file beside ``path``, syncs it, and renames it to ``path``.

    A reader sees the old file or the new one, never a part, whenever the process dies.

    Raises:
        RunError: the disk is full; the old file still stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        try:
            write(beside)
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)


def require_room(folder: Path, needed_bytes: int, *, what: str) -> None:
    """Looks whether the disk of ``folder`` has room, before hours of work end at a full one.

    Raises:
        RunError: it has not; says how much is missing.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise RunError(
            f"{what} need {needed_bytes / 2**20:,.0f} MiB and the disk of {folder} has "
            f"{free_bytes / 2**20:,.0f} MiB free: make room, then give the same command again"
        )


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` outlive a power cut, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """``text`` as UTF-8 in ``path``, whole or not at all."""
    write_whole(path, lambda beside: beside.write_bytes(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON in ``path``, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value that ``path`` holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    """Adds one line to ``path`` in a single write, so that several processes may share it.

    A line that a killed process left torn is closed first: it would swallow this one.
    """
    line = (json.dumps(value, ensure_ascii=False) + "\n").encode()
    with disk_errors(path), path.open("ab+", buffering=0) as opened:
        end = opened.seek(0, os.SEEK_END)
        if end:
            opened.seek(end - 1)
            if opened.read(1) != b"\n":
                line = b"\n" + line
        if opened.write(line) != len(line):  # a disk with room for a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of ``path``, without one that a killed process left half written."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().split(b"\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:  # blank, or torn by a kill
            continue
    return lines


def digest(value: Any) -> str:
    """64 hex digits that are the same for equal JSON values, on any machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """64 hex digits of a file's bytes. Memory: one block of 256 KiB."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

"""Videos that are arrays: in a .npy file, or as a dataset of an HDF5 file."""

import ast
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import av
import numpy as np
from jaxtyping import UInt8

from reelfit.errors import StudyError, VideoError
from reelfit.files import file_digest
from reelfit.video.array_names import dataset_of, file_of, is_array
from reelfit.video.container import MAX_SIDE, check_file
from reelfit.video.packets import PacketIndex

if TYPE_CHECKING:
    import h5py

NOT_FRAMES = "not an array of frames"
_WANTED = (
    "wanted are time x height x width x 3, time x 3 x height x width, or time x height x width"
)
_MOST_LINKS = 64
_MOST_HEADER_BYTES = 10_000
_NO_HEADER = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError)
_BLOCK_BYTES = 2**24

Layout = Literal["rgb last", "rgb first", "grey"]


@dataclass(frozen=True)
class FrameArray:
    """An open array of frames, none of which is read yet."""

    values: Any
    """What gives one frame by its number, and nothing more: a memory-mapped array or a dataset."""
    layout: Layout
    codec: Literal["npy", "hdf5"]
    stored_bytes: int

    @property
    def height_width(self) -> tuple[int, int]:
        """Of a frame, in pixels."""
        height, width = self.values.shape[2:] if self.layout == "rgb first" else self._sides
        return int(height), int(width)

    @property
    def pixel_aspect(self) -> float:
        """Nothing says of an array's pixels that they are not square."""
        return 1.0

    @property
    def _sides(self) -> tuple[int, int]:
        return (self.values.shape[1], self.values.shape[2])

    def index(self) -> PacketIndex:
        """As that of a stream without times, in which each frame stands by itself."""
        count = len(self.values)
        return PacketIndex(
            times=np.arange(count),
            keyframes=np.ones(count, bool),
            shown=np.ones(count, bool),
            time_base=Fraction(0),
            average_fps=None,
            total_bytes=self.stored_bytes,
            last_duration=0,
            ends_damaged=False,
            broken=frozenset(),
            trusted=False,
        )

    def picture(self, at: int) -> UInt8[np.ndarray, "height width 3"]:
        """One frame in RGB; floats from 0 to 1 become levels, rounded.

        Raises:
            VideoError: there is no such frame, it cannot be read, or a float is no level.
        """
        if not 0 <= at < len(self.values):
            raise VideoError("no such frame", f"frame {at} was asked for of {len(self.values)}")
        try:
            frame = np.asarray(self.values[at])
        except OSError as error:  # a chunk that cannot be unpacked
            raise VideoError("damaged", f"frame {at}: {error}") from None
        if frame.dtype.kind == "f":
            frame = _levels(frame, at)
        if self.layout == "grey":
            return np.repeat(frame[..., None], 3, axis=2)
        return np.ascontiguousarray(frame.transpose(1, 2, 0) if self.layout[4] == "f" else frame)

    def visit(self, wanted: Collection[int], take: Callable[[int, av.VideoFrame], None]) -> None:
        """Calls ``take(number, frame)`` for each of ``wanted``. Memory: one frame."""
        for at in sorted(wanted):
            take(at, av.VideoFrame.from_ndarray(self.picture(at), format="rgb24"))


@contextmanager
def open_array(path: Path) -> Iterator[FrameArray]:
    """The array that ``path`` names, unread. Nothing in it is ever run, no other file is opened.

    Raises:
        VideoError: there is none, or it is no array of frames; ``reason`` is one of 'no such file',
            'not a file', 'empty file', 'not an array of frames', 'no such dataset', 'a link out of
            the file', 'no frames', 'truncated', 'damaged', 'too large'.
        StudyError: it is in an HDF5 file, and h5py is not installed.
    """
    file, name = file_of(path), dataset_of(path)
    check_file(file)
    if name is None:
        yield _checked(_memory_mapped(file), "npy", file.stat().st_size)
        return
    h5py = _import_h5py()
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise VideoError("damaged", f"{file}: {error}") from None
    with opened:
        dataset = _dataset(opened, name, file)
        stored = int(dataset.id.get_storage_size()) or int(dataset.nbytes)
        yield _checked(dataset, "hdf5", stored)


def content_digest(path: Path) -> str:
    """64 hex digits of a video's content: of a file's bytes, of an array's shape, type and values.

    Memory: one block of 16 MiB, or one frame.

    Raises:
        VideoError: an array cannot be read.
    """
    if not is_array(path):
        return file_digest(path)
    with open_array(path) as array:
        values = array.values
        found = hashlib.sha256(json.dumps([values.dtype.str, *values.shape]).encode())
        frame_bytes = values.dtype.itemsize * prod(values.shape[1:])
        size = max(1, _BLOCK_BYTES // frame_bytes)
        for begin in range(0, len(values), size):
            try:
                found.update(np.ascontiguousarray(values[begin : begin + size]).data)
            except OSError as error:
                raise VideoError("damaged", f"frames from {begin} on: {error}") from None
        return found.hexdigest()


def _checked(values: Any, codec: Literal["npy", "hdf5"], stored_bytes: int) -> FrameArray:
    shape, kind = tuple(map(int, values.shape)), values.dtype
    if kind != np.uint8 and kind not in map(np.dtype, ("f2", "f4", "f8", ">f2", ">f4", ">f8")):
        detail = f"values of {kind}; wanted are uint8, or floats from 0 to 1"
        raise VideoError(NOT_FRAMES, detail)
    last, first = (len(shape) == 4 and shape[place] == 3 for place in (3, 1))
    if last == first and (last or len(shape) != 3 or shape[-1] == 3):  # of 3: perhaps one picture
        raise VideoError(NOT_FRAMES, f"its shape is {' x '.join(map(str, shape))}; {_WANTED}")
    if not shape[0]:
        raise VideoError("no frames", "the array is empty")
    array = FrameArray(
        values, "rgb last" if last else "rgb first" if first else "grey", codec, stored_bytes
    )
    if min(array.height_width) < 1:
        raise VideoError(NOT_FRAMES, f"its shape is {' x '.join(map(str, shape))}; {_WANTED}")
    if max(array.height_width) > MAX_SIDE:
        raise VideoError("too large", f"frames of {array.height_width}; at most {MAX_SIDE} pixels")
    return array


def _memory_mapped(file: Path) -> np.ndarray:
    """Pickles are never loaded: an array of objects is refused by its header, before any value.

    Source: the format's own description, numpy.lib.format.
    """
    try:
        with file.open("rb") as opened:
            kind, order, shape = _header(opened)
            begin = opened.tell()
    except OSError as error:
        raise VideoError("cannot be read", str(error)) from None
    except _NO_HEADER as error:
        raise VideoError(NOT_FRAMES, f"no header of a .npy file: {error}") from None
    if kind.hasobject:
        raise VideoError(NOT_FRAMES, "it holds Python objects, which are never loaded")
    needed = begin + kind.itemsize * prod(shape)
    if needed > file.stat().st_size:
        raise VideoError("truncated", f"its header claims {needed} bytes")
    if not prod(shape) or not kind.itemsize:
        return np.empty(shape if kind.itemsize else 0, kind)
    return np.memmap(file, kind, "r", begin, shape, order)


def _header(opened: BinaryIO) -> tuple[np.dtype, Literal["C", "F"], tuple[int, ...]]:
    """What stands before the values; a text of Python's literals, which is read and never run."""
    version = np.lib.format.read_magic(opened)
    length = int.from_bytes(opened.read(2 if version == (1, 0) else 4), "little")
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"{length} bytes long")
    said = ast.literal_eval(opened.read(length).decode().strip())
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise ValueError("its keys are others")
    shape = said["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise ValueError(f"the shape {shape}")
    return np.lib.format.descr_to_dtype(said["descr"]), "F" if said["fortran_order"] else "C", shape


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise StudyError('videos in HDF5 files need h5py: pip install "reelfit[hdf5]"') from None
    return h5py


def _dataset(opened: "h5py.File", name: str, file: Path) -> "h5py.Dataset":
    """The dataset ``name`` of the file itself; its parts are followed one by one.

    Neither an external link, nor raw data in another file, nor a dataset put together from others
    is read: a file of videos must not show what else is on the disk.
    """
    h5py = _import_h5py()
    parts, place, followed = [part for part in name.split("/") if part], opened["/"], 0
    while parts:
        part = parts.pop(0)
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None or part in (".", ".."):
            raise VideoError("no such dataset", f"{file} has no {name}")
        if isinstance(link, h5py.ExternalLink):
            raise VideoError("a link out of the file", f"{name} leads to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            followed += 1
            if followed > _MOST_LINKS:
                raise VideoError("no such dataset", f"{name}: its links lead in a circle")
            parts = [each for each in link.path.split("/") if each] + parts
            place = opened["/"] if link.path.startswith("/") else place
        else:
            place = place[part]
    if not isinstance(place, h5py.Dataset):
        detail = f"{file}: name one of its datasets, as in {file.name}::{name or 'videos'}/0"
        raise VideoError("no such dataset", detail)
    if place.is_virtual or place.external:
        raise VideoError("a link out of the file", f"the values of {name} stand in other files")
    return place


def _levels(frame: np.ndarray, at: int) -> np.ndarray:
    low, high = float(frame.min()), float(frame.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN is neither
        raise VideoError("values out of range", f"frame {at}: {low:g} to {high:g}; wanted 0 to 1")
    return np.rint(frame.astype(np.float64) * 255).astype(np.uint8)

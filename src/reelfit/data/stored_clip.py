"""How one clip stands in a shard: raw, or as a JPEG of each frame where the disk is small."""

import io
import json
import math
import tokenize
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy.lib import format as npy
from PIL import Image

Store = Literal["uint8", "jpeg"]
BLOCK = 512
"""Bytes of a tar's header, and the unit that members are padded to."""
_NPY = b"\x93NUMPY"
_NPY_HEADER = 128  # bytes, of an array of four sides
_MAX_SIDE = 16384


@dataclass(frozen=True)
class Clip:
    """One clip to be stored; ``augmentation`` is empty for the original, copy 0."""

    video_id: str
    copy: int
    pixels: UInt8[np.ndarray, "time 3 height width"]
    frames: list[int]
    augmentation: dict[str, Any]


def members_of(clip: Clip, store: Store, *, quality: int) -> list[tuple[str, bytes]]:
    """Names and contents of the members of one clip: its pixels, and at last its facts.

    ``jpeg`` keeps chroma at half size; ``quality`` is on the scale of the Independent JPEG Group.
    """
    key = f"{clip.video_id}.{clip.copy}"
    facts = {"frames": clip.frames, "augmentation": clip.augmentation}
    described = (f"{key}.json", json.dumps(facts, sort_keys=True).encode())
    if store == "uint8":
        stored = io.BytesIO()
        np.save(stored, clip.pixels, allow_pickle=False)
        return [(f"{key}.npy", stored.getvalue()), described]
    pictures = []
    for number, frame in enumerate(clip.pixels):
        written = io.BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        picture.save(written, "JPEG", quality=quality)
        pictures.append((f"{key}.{number:04d}.jpg", written.getvalue()))
    return [*pictures, described]


def clip_in(content: UInt8[np.ndarray, " bytes"]) -> UInt8[np.ndarray, "time 3 height width"]:
    """The pixels of one clip: of its ``.npy`` member, or of the members of all its JPEGs.

    Of an array they are a view of ``content``: nothing is copied.

    Raises:
        ValueError: something else stands there; nothing of it is run, and no memory is asked for
            that the bytes do not bear out.
    """
    if content[: len(_NPY)].tobytes() == _NPY:
        return _array_in(content)
    return np.stack([_picture_in(part) for part in _jpegs_in(content.tobytes())])


def _array_in(content: UInt8[np.ndarray, " bytes"]) -> UInt8[np.ndarray, "time 3 height width"]:
    shape, begin = _shape_in(content[:_NPY_HEADER].tobytes())
    if math.prod(shape) != len(content) - begin:
        raise ValueError(f"{len(content)} bytes do not hold a clip of shape {shape}")
    return content[begin:].reshape(shape)


@lru_cache(maxsize=64)  # the clips of a shard have the same header, and to read it takes 30 us
def _shape_in(header: bytes) -> tuple[tuple[int, ...], int]:
    """The shape of the array, and where its values begin."""
    stream = io.BytesIO(header)
    try:
        npy.read_magic(stream)
        shape, transposed, kind = npy.read_array_header_1_0(stream)
    except (SyntaxError, TypeError, tokenize.TokenError) as error:  # of one byte changed in it
        raise ValueError(f"no header of an array: {error}") from None
    if kind != np.uint8 or len(shape) != 4 or transposed:
        raise ValueError(f"no clip stands there but {kind} of shape {shape}")
    return shape, stream.tell()


def _jpegs_in(content: bytes) -> list[bytes]:
    """The members from the first frame's header to the last frame's end."""
    found, at = [], 0
    while at < len(content):
        header = content[at : at + BLOCK]
        if len(header) < BLOCK or header[257:262] != b"ustar":
            raise ValueError(f"neither an array nor a row of pictures: {header[:16]!r}")
        num_bytes = int(header[124:135], 8)
        begin = at + BLOCK
        if begin + num_bytes > len(content):
            raise ValueError("the last picture is cut short")
        found.append(content[begin : begin + num_bytes])
        at = begin + padded(num_bytes)
    if not found:
        raise ValueError("nothing stands there")
    return found


def _picture_in(content: bytes) -> UInt8[np.ndarray, "3 height width"]:
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as picture:
            if max(picture.size) > _MAX_SIDE or picture.mode != "RGB":
                raise ValueError(f"a picture of {picture.size} in {picture.mode}")
            return np.asarray(picture).transpose(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture that cannot be read: {error}") from None


def padded(num_bytes: int) -> int:
    """Up to the next whole block of a tar."""
    return -(-num_bytes // BLOCK) * BLOCK

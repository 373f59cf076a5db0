"""Features of videos or texts: rows in memory, on a device or in a file, read a few at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from reelfit.errors import FeatureError

FeatureRows: TypeAlias = np.ndarray | Tensor | str | Path
"""``row dimension``: an array, a memory-mapped one, a tensor on any device, or a ``.npy`` file."""
STAGED_BYTES = 2**20
"""Rows are widened to double precision so many bytes at a time."""


def _opened(rows: FeatureRows, what: str) -> np.ndarray | Tensor:
    if isinstance(rows, str | Path):
        try:
            found = np.load(rows, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise FeatureError(f"the {what} features cannot be read from {rows}: {error}") from None
        return _checked(found, what, is_float=found.dtype.kind == "f")
    if isinstance(rows, Tensor):
        return _checked(rows.detach(), what, is_float=rows.dtype.is_floating_point)
    return _checked(rows, what, is_float=rows.dtype.kind == "f" and rows.dtype.itemsize <= 8)


def _checked(rows: np.ndarray | Tensor, what: str, *, is_float: bool) -> np.ndarray | Tensor:
    if not is_float:
        raise FeatureError(f"the {what} features are {rows.dtype}: give them as floating point")
    if rows.ndim != 2 or not rows.shape[0] or not rows.shape[1]:
        shape = tuple(rows.shape)
        raise FeatureError(f"the {what} features have the shape {shape}: not rows x dimensions")
    return rows


@final
class Features:
    """Rows that are given out scaled to unit length, or as they are, in single or double precision.

    ``chosen`` takes some of the rows of ``rows``, in that order. Rows of zeros stay zeros.

    Memory: beside ``rows`` itself two numbers for each row and a mebibyte.

    Raises:
        FeatureError: no matrix of floating point, or a row that is not finite; it is named.
    """

    def __init__(
        self,
        rows: FeatureRows,
        *,
        what: str,
        normalize: bool,
        chosen: Int64[np.ndarray, " row"] | None = None,
    ) -> None:
        self._rows = _opened(rows, what)
        self._chosen = chosen
        self.what = what
        self.count = len(self._rows) if chosen is None else len(chosen)
        self.width = int(self._rows.shape[1])
        self.norms = np.empty(self.count)
        for begin, end in self._stages(0, self.count):
            self.norms[begin:end] = self._read(begin, end).norm(dim=1).cpu().numpy()
            self._refuse_endless(begin, end)
        lengths = self.norms if normalize else np.ones(self.count)
        self._lengths = np.where(lengths > 0, lengths, 1.0)
        self.scaled_norms = self.norms / self._lengths
        self.largest = float(self.scaled_norms.max())

    def _refuse_endless(self, begin: int, end: int) -> None:
        """Norms tell: a row has one that is not finite if, and only if, it is not finite itself."""
        wrong = np.flatnonzero(~np.isfinite(self.norms[begin:end]))
        if len(wrong):
            row = begin + int(wrong[0])
            raise FeatureError(f"row {row} of the {self.what} features has NaN or infinite numbers")

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self._rows.device if isinstance(self._rows, Tensor) else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """That of the rows as they are kept."""
        if isinstance(self._rows, Tensor):
            return self._rows.dtype
        return torch.from_numpy(np.empty(0, self._rows.dtype.newbyteorder("="))).dtype

    def _stages(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        step = max(1, STAGED_BYTES // (8 * self.width))
        for start in range(begin, end, step):
            yield start, min(start + step, end)

    def _read(self, begin: int, end: int) -> Float64[Tensor, "row dimension"]:
        if self._chosen is not None:
            return self._gather(self._chosen[begin:end])
        part = self._rows[begin:end]
        if isinstance(part, Tensor):
            return part.to(torch.float64, copy=True)
        return torch.from_numpy(part.astype(np.float64))

    def _gather(self, rows: Int64[np.ndarray, " row"]) -> Float64[Tensor, "row dimension"]:
        if isinstance(self._rows, Tensor):
            return self._rows[torch.from_numpy(rows).to(self._rows.device)].double()
        return torch.from_numpy(self._rows[rows].astype(np.float64))

    def fill(self, begin: int, out: Float32[Tensor, "row dimension"]) -> None:
        """Writes the rows from ``begin`` on, scaled and then rounded, as many as ``out`` has."""
        for start, end in self._stages(begin, begin + len(out)):
            rows = self._read(start, end)
            rows /= torch.from_numpy(self._lengths[start:end, None]).to(rows.device)
            out[start - begin : end - begin] = rows

    def take(self, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "row dimension"]:
        """Some rows, scaled, in double precision, on the device that ``rows`` are on."""
        found = self._gather(self._numbers(rows))
        found /= torch.from_numpy(self._lengths[rows.cpu().numpy(), None]).to(found.device)
        return found.to(rows.device)

    def raw(self, rows: slice | Int64[Tensor, " row"]) -> Tensor:
        """Some rows as they are kept, neither scaled nor widened: without a copy of a slice."""
        if isinstance(rows, slice) and self._chosen is None and isinstance(self._rows, Tensor):
            return self._rows[rows]
        return self._gather(self._numbers(rows)).to(self.dtype)

    def inverse_lengths(self, rows: slice | Int64[Tensor, " row"]) -> Float32[Tensor, " row"]:
        """What scores of ``raw`` rows are to be multiplied by."""
        wanted = rows if isinstance(rows, slice) else rows.cpu().numpy()
        return torch.from_numpy((1 / self._lengths[wanted]).astype(np.float32))

    def _numbers(self, rows: slice | Int64[Tensor, " row"]) -> Int64[np.ndarray, " row"]:
        wanted = np.arange(self.count)[rows] if isinstance(rows, slice) else rows.cpu().numpy()
        return wanted if self._chosen is None else self._chosen[wanted]

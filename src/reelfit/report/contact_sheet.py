"""A contact sheet: a clip and its copies, a row each, with what was done to them."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from reelfit.files import write_whole

MARGIN = 12
TEXT_WIDTH = 280
LINE = 15
_PAPER, _INK, _FAINT = "#ffffff", "#1a1a1a", "#666666"


@dataclass(frozen=True)
class Row:
    """One clip of the sheet."""

    title: str
    details: Sequence[str]
    frames: UInt8[np.ndarray, "time 3 height width"]


def write_contact_sheet(
    path: Path, *, heading: str, columns: Sequence[str], rows: list[Row]
) -> None:
    """A PNG of ``rows`` under ``heading``; ``columns`` stand over the frames.

    Memory: the sheet.
    """
    count, _, height, width = rows[0].frames.shape
    needed = [max(height, LINE * (len(row.details) + 2)) + MARGIN for row in rows]
    size = (
        2 * MARGIN + TEXT_WIDTH + count * (width + MARGIN),
        3 * MARGIN + 3 * LINE + sum(needed),
    )
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.text((MARGIN, MARGIN), heading, fill=_INK, font=font)
    left = 2 * MARGIN + TEXT_WIDTH
    top = 2 * MARGIN + LINE
    for number, said in enumerate(columns):
        pen.text((left + number * (width + MARGIN), top), said, fill=_FAINT, font=font)
    top += LINE + MARGIN
    for row, taken in zip(rows, needed, strict=True):
        pen.text((MARGIN, top), row.title, fill=_INK, font=font)
        for line, said in enumerate(row.details, 1):
            pen.text((MARGIN, top + line * LINE), said, fill=_FAINT, font=font)
        for number, frame in enumerate(row.frames):
            picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
            sheet.paste(picture, (left + number * (width + MARGIN), top))
        top += taken
    write_whole(path, lambda beside: sheet.save(beside, "PNG"))


def details_of(augmentation: Mapping[str, Any]) -> list[str]:
    """What was drawn for a copy, in lines that fit beside its frames."""
    lines: list[str] = []
    for name, drawn in augmentation.items():
        said = ", ".join(f"{key} {_short(value)}" for key, value in drawn.items())
        lines += textwrap.wrap(f"{name}: {said}" if said else name, 44, subsequent_indent="   ")
    return lines or ["as decoded"]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list) and len(value) > 8:
        return f"({len(value)} values)"
    return str(value)

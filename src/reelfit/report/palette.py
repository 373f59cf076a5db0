"""The colours of the figures, which only the page knows, and the line of each model."""

from typing import Final, NamedTuple

INK, ACCENT, MUTED, RULE = "#010101", "#010102", "#010103", "#010104"
"""Stand in a figure for colours of the page, which differ between light and dark."""

NUM_LINES: Final = 8
"""How many line colours the page has: ``--line-1`` to ``--line-8`` in ``page.css``."""

_LINES: Final = [f"#0102{number:02d}" for number in range(1, NUM_LINES + 1)]

PAGE_COLOURS: Final[dict[str, str]] = {
    INK: "currentColor",
    ACCENT: "var(--accent)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    **{stand_in: f"var(--line-{place})" for place, stand_in in enumerate(_LINES, start=1)},
}
"""What the page puts in the place of each of them."""

_DASHES: Final[list[tuple[float, ...]]] = [
    (),
    (6.0, 3.0),
    (2.5, 2.0),
    (9.0, 3.0, 2.0, 3.0),
    (18.0, 2.5),
    (1.0, 2.5),
    (12.0, 3.0),
    (6.0, 2.0, 1.5, 2.0, 1.5, 2.0),
]


class Line(NamedTuple):
    """How a model's line is drawn, the same in every figure and in the key."""

    colour: str
    width: float
    dashes: tuple[float, ...]

    @property
    def linestyle(self) -> str | tuple[float, tuple[float, ...]]:
        """The dashes as matplotlib takes them."""
        return (0.0, self.dashes) if self.dashes else "-"

    @property
    def css(self) -> str:
        """The same line as an inline style of an SVG path."""
        dashes = " ".join(f"{length:g}" for length in self.dashes) or "none"
        colour = PAGE_COLOURS[self.colour]
        return f"stroke:{colour};stroke-width:{self.width:g};stroke-dasharray:{dashes}"


def line_of(rank: int) -> Line:
    """The line of the model at this rank, the best at 0: no two of the first 64 are alike.

    Colour and dashes both tell models apart, so neither is needed alone.
    """
    dashes = _DASHES[(rank + rank // NUM_LINES) % len(_DASHES)]
    return Line(_LINES[rank % NUM_LINES], 1.6 if rank else 2.4, dashes)

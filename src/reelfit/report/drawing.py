"""Line drawings as SVG that follow the page: its colours in light and dark, its font, its width."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib import resources
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reelfit.report.palette import INK, MUTED, PAGE_COLOURS, RULE

FONT_SIZE: Final = 11
LETTER_WIDTH: Final = 6.5
"""About the mean width of a letter at that size, in pixels, whichever font the page has."""
LEFT_MARGIN, RIGHT_MARGIN = 46, 14

_DPI = 72  # then one point of matplotlib is one pixel of the page
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "figure.dpi": _DPI,
    "font.size": FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelpad": 6,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "lines.scale_dashes": False,
    "lines.solid_capstyle": "round",
}


class Drawing(NamedTuple):
    """One SVG, the heading above it, and the sentence below that."""

    svg: str
    heading: str
    note: str = ""


@contextmanager
def axes(*, width: int, height: int, labels: tuple[str, str], room: int = 0) -> Iterator[Axes]:
    """Axes on ``width`` by ``height`` pixels with fixed margins, in the style of the page.

    ``labels`` are those of x, below, and of y, above the axis and upright. ``room`` is kept free
    above the axes. Only our own ASCII words belong into a drawing: what users name stands in the
    page's own text.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc must not change the report
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(width / _DPI, height / _DPI))
        bottom, top = 42, max(room + 10, 24 if labels[1] else 8)
        box = (
            LEFT_MARGIN / width,
            bottom / height,
            1 - (LEFT_MARGIN + RIGHT_MARGIN) / width,
            1 - (bottom + top) / height,
        )
        drawn = figure.add_axes(box)
        drawn.set_xlabel(labels[0])
        figure.text(0, 1 - (top - 10) / height, labels[1], va="bottom", color=MUTED)
        yield drawn


def svg_of(drawn: Axes, *, name: str, label: str) -> str:
    """The figure of ``drawn`` as one SVG element; ``label`` is what a screen reader says.

    ``name`` makes its ids differ from those of the other figures of the page.
    """
    figure = drawn.get_figure(root=True)
    assert figure is not None
    written = io.StringIO()
    mpl.rcParams["svg.hashsalt"] = name
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would style the whole page
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # the same in every figure
    body = body.replace("xlink:href", "href")
    body = re.sub(r"font: (700|bold)?[^;\"]*;?", _weight, body)  # the page's font, not ours
    body = re.sub(r"font-(?:family|size): [^;\"]*;? *", "", body)
    body = re.sub(r' d="[^"]*"', lambda path: _shorter(path[0]), body)
    for stand_in, colour in PAGE_COLOURS.items():
        body = body.replace(stand_in, colour)
    width, height = (round(inches * _DPI) for inches in figure.get_size_inches())
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{body.strip()}'


def standalone(svg: str) -> str:
    """A drawing as a file of its own, with the page's colours, light or dark as the viewer is."""
    sheet = (resources.files("reelfit.report") / "page.css").read_text(encoding="utf-8")
    colours = sheet[: sheet.index("* {")]
    own = f"svg {{ color: var(--ink); background: var(--paper); font: {FONT_SIZE}px sans-serif; }}"
    begin = svg.index(">") + 1
    opened = svg[:begin].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{opened}<style>{colours}{own}</style>{svg[begin:]}"


def _weight(font: re.Match[str]) -> str:
    return "font-weight: 700;" if font[1] else ""


def _shorter(path: str) -> str:
    """``path`` to a hundredth of a pixel, on one line: a third of the page's weight."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path).replace("\n", "")

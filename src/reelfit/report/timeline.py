"""Memory over the time of a run, stage by stage, against the budget."""

from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from reelfit.report.drawing import (
    FONT_SIZE,
    LEFT_MARGIN,
    LETTER_WIDTH,
    RIGHT_MARGIN,
    Drawing,
    axes,
    svg_of,
)
from reelfit.report.palette import ACCENT, INK, MUTED, RULE
from reelfit.report.wording import count, duration, number

_WIDTH = 944
_MOST_POINTS = 4000
"""Over all lines together: more would weigh on the page and show nothing."""
_MOST_UNITS = 400
"""With more processes, one line for each stage shows the highest of its processes."""
_FARTHEST_BUDGET = 4.0
"""Times the highest peak: a budget above that would press the lines to the ground."""
_PAUSE_SECONDS = 60.0
"""No process wrote a line for that long: nothing ran, as between two sessions of a run."""
_SCALES = [(1, "seconds", 180.0), (60, "minutes", 10800.0), (3600, "hours", float("inf"))]
"""The unit of the axis, how many seconds it has, and the time below which it serves."""
_LINE_HEIGHT = 14

Curve = tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]


class _Span(NamedTuple):
    """A stage from its first line to the next stage's, and its budget."""

    stage: str
    begin: float
    end: float
    budget_mb: float | None


def memory_timeline(memory: pl.DataFrame) -> Drawing | None:
    """Resident memory of each unit over time; nothing where none was recorded.

    ``memory`` has the columns of ``ReportContent.memory``.
    """
    memory = memory.filter(pl.col("host_rss_mb").is_not_nan()).sort("seconds")
    if not memory.height:
        return None
    memory, paused_seconds = _without_pauses(memory)
    end, highest = max(_float(memory["seconds"].max()), 1.0), _highest(memory)
    scale, unit = next(scale for scale in _SCALES if end < scale[2])[:2]
    memory = memory.with_columns(pl.col("seconds") / scale)
    spans = _spans(memory, end / scale)
    budget = memory["budget_mb"].max()
    budget_mb = None if budget is None else _float(budget)
    near = budget_mb is not None and budget_mb <= _FARTHEST_BUDGET * highest
    levels = _levels(spans)
    room = _LINE_HEIGHT * (1 + max(levels, default=0))
    labels = (f"{unit} of work since the start", "MiB")
    with axes(width=_WIDTH, height=290 + room, labels=labels, room=room) as drawn:
        drawn.set_xlim(0, end / scale)
        drawn.set_ylim(0, 1.15 * (max(highest, budget_mb or 0.0) if near else highest))
        drawn.grid(visible=False, axis="x")
        drawn.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        drawn.yaxis.set_major_locator(MaxNLocator(nbins=5))
        _draw_stages(drawn, spans, levels)
        _draw_units(drawn, memory)
        if near:
            _draw_budgets(drawn, spans)
        said = f"Memory over {duration(end)}: the highest peak is {number(highest, 0)} MiB"
        said += "." if budget_mb is None else f", the budget {number(budget_mb, 0)} MiB."
        svg = svg_of(drawn, name="memory", label=said)
    note = _note(memory, highest, budget_mb, near=near)
    if paused_seconds:
        note += f" Pauses of {duration(paused_seconds)} in all, in which nothing ran, are left out."
    return Drawing(svg, "Memory over time", note)


def _without_pauses(memory: pl.DataFrame) -> tuple[pl.DataFrame, float]:
    """The lines with each pause taken out of their times, and how long the pauses were in all."""
    step = pl.col("seconds").diff().fill_null(0.0)
    pause = pl.when(step > _PAUSE_SECONDS).then(step).otherwise(0.0)
    timed = memory.with_columns(paused=pause.cum_sum())
    total = _float(timed["paused"].max())
    return timed.with_columns(pl.col("seconds") - pl.col("paused")).drop("paused"), total


def _spans(memory: pl.DataFrame, end: float) -> list[_Span]:
    stages = memory.group_by("stage", maintain_order=True).agg(
        pl.min("seconds"), pl.max("budget_mb")
    )
    rows = stages.rows()
    ends = [row[1] for row in rows[1:]] + [end]
    return [_Span(row[0], row[1], last, row[2]) for row, last in zip(rows, ends, strict=True)]


def _pixels(spans: list[_Span]) -> float:
    """Pixels for each unit of time."""
    return (_WIDTH - LEFT_MARGIN - RIGHT_MARGIN) / spans[-1].end


def _levels(spans: list[_Span]) -> list[int]:
    """On which line above the axes each stage's name stands: the lowest on which it is free."""
    pixels = _pixels(spans)
    taken: list[float] = []
    levels = []
    for span in spans:
        begin = span.begin * pixels + _shift(span, pixels)
        level = next((at for at, until in enumerate(taken) if until <= begin), len(taken))
        taken[level : level + 1] = [begin + LETTER_WIDTH * len(span.stage) + 8]
        levels.append(level)
    return levels


def _shift(span: _Span, pixels: float) -> float:
    """By how many pixels the name stands off its rule, so that it ends on the picture."""
    room = _WIDTH - LEFT_MARGIN - span.begin * pixels
    return min(4.0, room - LETTER_WIDTH * len(span.stage))


def _draw_stages(drawn: Axes, spans: list[_Span], levels: list[int]) -> None:
    """A rule where each stage begins, up to its name."""
    height = drawn.get_window_extent().height
    for span, level in zip(spans, levels, strict=True):
        rise = level * _LINE_HEIGHT
        top = 1 + (rise + FONT_SIZE) / height
        drawn.axvline(span.begin, ymax=top, color=RULE, lw=0.8, zorder=1, clip_on=False)
        drawn.annotate(
            span.stage,
            (span.begin, 1),
            xycoords=("data", "axes fraction"),
            xytext=(_shift(span, _pixels(spans)), rise + 2),
            textcoords="offset points",
            color=MUTED,
        )


def _draw_units(drawn: Axes, memory: pl.DataFrame) -> None:
    num_units = memory.select("stage", "unit").n_unique()
    parts = ["stage", "unit"] if num_units <= _MOST_UNITS else ["stage"]
    most = max(8, _MOST_POINTS // memory.select(parts).n_unique())
    for _, unit in memory.group_by(parts, maintain_order=True):
        seconds, resident_mb = _thinned(unit, most=most)
        drawn.fill_between(seconds, resident_mb, color=ACCENT, alpha=0.12, lw=0, zorder=2)
        marker = "o" if seconds.size == 1 else ""
        drawn.plot(seconds, resident_mb, color=ACCENT, lw=1.2, marker=marker, ms=3, zorder=3)
        peak = unit.filter(pl.col("host_peak_mb") == pl.col("host_peak_mb").max()).head(1)
        drawn.plot(peak["seconds"], peak["host_peak_mb"], "_", color=INK, ms=7, mew=1.6, zorder=4)
    top = memory.filter(pl.col("host_peak_mb") == pl.col("host_peak_mb").max()).head(1)
    for at, peak_mb in top.select("seconds", "host_peak_mb").iter_rows():
        drawn.annotate(
            number(peak_mb, 0),
            (at, peak_mb),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            weight="bold",
        )


def _draw_budgets(drawn: Axes, spans: list[_Span]) -> None:
    """The budget of each stage as a dashed line, named at its end."""
    for span in spans:
        if span.budget_mb is not None:
            ends = [span.begin, span.end]
            drawn.plot(ends, [span.budget_mb] * 2, color=INK, lw=1.4, ls=(0, (5, 3)))
    last = next(span for span in reversed(spans) if span.budget_mb is not None)
    assert last.budget_mb is not None
    drawn.annotate(
        f"budget {number(last.budget_mb, 0)}",
        (last.end, last.budget_mb),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
    )


def _thinned(unit: pl.DataFrame, *, most: int) -> Curve:
    """At most ``most`` points, each the highest of its stretch: no peak is lost."""
    stretch = -(-unit.height // most)
    kept = (
        unit.with_row_index("row")
        .group_by(pl.col("row") // stretch, maintain_order=True)
        .agg(pl.col("seconds", "host_rss_mb").sort_by("host_rss_mb").last())
    )
    return kept["seconds"].to_numpy(), kept["host_rss_mb"].to_numpy()


def _note(memory: pl.DataFrame, highest: float, budget_mb: float | None, *, near: bool) -> str:
    num_units = memory.select("stage", "unit").n_unique()
    note = f"Resident memory of {count(num_units, 'process')}; a bar marks the peak of each."
    if num_units > _MOST_UNITS:
        note = f"Resident memory of the highest of {count(num_units, 'process')} in each stage."
    if budget_mb is None:
        return f"{note} No budget was set."
    if near:
        return note
    times = number(budget_mb / highest, 0)
    return f"{note} The budget, {number(budget_mb, 0)} MiB, is {times} times the highest peak."


def _highest(memory: pl.DataFrame) -> float:
    tops = [memory[name].max() for name in ("host_rss_mb", "host_peak_mb")]
    return max(1.0, *(_float(top) for top in tops if top is not None))


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)

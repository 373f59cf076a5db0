"""What a task's own part of a report is, between what every run has."""

from typing import TYPE_CHECKING, Any, NamedTuple

from reelfit.report.tables import Table
from reelfit.report.verdict import Verdict

if TYPE_CHECKING:
    from reelfit.report.drawing import Drawing

Section = tuple[str, str]
"""The id of a section and its heading."""
Fact = tuple[str, str, str]
"""What was run: a name, its value and a remark."""
Said = tuple[str, str, list[Table]]
"""A section as text: its heading, how to read it, and its tables."""


class Body(NamedTuple):
    """What one page of a task has of its own."""

    template: str
    verdict: Verdict
    facts: list[Fact]
    ranking: list[dict[str, Any]]
    """Each model, best first, with its place on the axis of ``strips``."""
    chance_place: str
    """How far from the left of that axis chance is."""
    ticks: list[tuple[str, str]]
    """Of the axis below the ranking: how far from the left, and what stands there."""
    found: list[Section]
    """The sections before the learning curves."""
    shown: list[Section]
    """Those after them, with pictures."""
    learning: "dict[str, list[Drawing]]"
    folds: Table
    labelled: bool
    """Whether a video's label is its class: then two that look alike should have the same."""
    values: dict[str, Any]
    """What the template asks for beside all this."""


class Words(NamedTuple):
    """What one text of a task has of its own."""

    verdict: Verdict
    sections: list[Said]
    folds: Table
    labelled: bool
    """As in ``Body``."""

"""The tables of a run as Markdown, for terminals, reviews and notes."""

import html
import re

from reelfit.report.confusion import READING, confusion_tables
from reelfit.report.content import ReportContent
from reelfit.report.duplicates import duplicates_table, duplicates_words
from reelfit.report.judgement import (
    calibration_tables,
    comparison_table,
    control_tables,
    subset_tables,
)
from reelfit.report.metric_tables import every_fold_table, groups_table, models_table, spread_table
from reelfit.report.others import READING as READING_OTHERS
from reelfit.report.others import others_sections
from reelfit.report.searching import search_tables
from reelfit.report.tables import (
    Cell,
    Table,
    environment_tables,
    folds_table,
    plans_table,
    reasons_table,
    rejected_table,
    stages_table,
    units_table,
)
from reelfit.report.verdict import verdict
from reelfit.report.wording import duration

_MARKS = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#+\-=]|(?<=^\d)[.)](?= )")
"""What Markdown acts on; an underscore between letters is none of it, so names stay readable."""


def render_markdown(content: ReportContent) -> str:
    """The report's words and tables, without its pictures; nothing in it is live markup."""
    said = verdict(content)
    parts = [
        f"# {_plain(content.title)}",
        f"{_plain(content.run_id)}, {duration(content.elapsed_seconds)}.",
        *(f"**Note first:** {_plain(sentence)}" for sentence in content.shrunk),
        f"**{_plain(said.headline)}**",
        _plain(" ".join(said.sentences)),
    ]
    for heading, reading, tables in _sections(content):
        shown = [_table(table) for table in tables if table.rows]
        parts += [f"## {heading}", *([reading] if reading and shown else []), *(shown or ["None."])]
    decided = [f"- {_plain(decision)}" for decision in content.decisions]
    parts += ["## What was decided", "\n".join(decided) or "None."]
    return "\n\n".join(parts) + "\n"


def _sections(content: ReportContent) -> list[tuple[str, str, list[Table]]]:
    """Each section's heading, how to read it, and its tables."""
    rejected = [reasons_table(content), rejected_table(content)]
    models = [models_table(content), groups_table(content), spread_table(content)]
    models += [every_fold_table(content)]
    return [
        ("Models", "", [*models, *search_tables(content.search)]),
        *_others(content),
        ("Comparison", "", [comparison_table(content)]),
        ("Controls", "", control_tables(content)),
        ("Calibration", "", calibration_tables(content)),
        ("Subsets", "", subset_tables(content)),
        ("Confusion matrices", READING, confusion_tables(content)),
        (
            "Time and memory",
            "",
            [stages_table(content), plans_table(content), units_table(content)],
        ),
        ("What was rejected", "", rejected if content.rejected.height else []),
        (
            "Videos that look alike",
            " ".join(duplicates_words(content)),
            [duplicates_table(content)],
        ),
        ("Folds", "", [folds_table(content)]),
        ("Environment", "", environment_tables(content.environment)[:1]),
    ]


def _others(content: ReportContent) -> list[tuple[str, str, list[Table]]]:
    """A section for each other set; the first says how they are to be read."""
    found = []
    for number, other in enumerate(others_sections(content)):
        words = [*([] if number else [READING_OTHERS]), *other["words"]]
        heading = f"On other videos: {_plain(other['name'])}"
        found.append((heading, _plain(" ".join(words)), [other["results"], other["rejected"]]))
    return found


def _table(table: Table) -> str:
    num_numbers = len(table.columns) - table.num_words
    rule = [":---"] * table.num_words + ["---:"] * num_numbers
    lines = [[_plain(column) for column in table.columns], rule]
    lines += [[_cell(cell) for cell in row] for row in table.rows]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_plain(table.caption)}\n\n{drawn}"


def _cell(cell: Cell) -> str:
    text = _plain(cell.text)
    text = f"**{text}**" if cell.strong else text
    return f"{text} ({_plain(cell.note)})" if cell.note else text


def _plain(text: str) -> str:
    """``text`` on one line, with all that Markdown and HTML would act on made harmless."""
    return _MARKS.sub(r"\\\g<0>", html.escape(" ".join(text.split()), quote=False))

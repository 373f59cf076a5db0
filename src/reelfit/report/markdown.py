"""The tables of a run as Markdown, for terminals, reviews and notes."""

import html
import re

from reelfit.report.body import Said, Words
from reelfit.report.classification import classification_words
from reelfit.report.content import ReportContent, RunContent
from reelfit.report.duplicates import duplicates_table, duplicates_words
from reelfit.report.retrieval import RetrievalContent, retrieval_words
from reelfit.report.tables import (
    Cell,
    Table,
    environment_tables,
    plans_table,
    reasons_table,
    rejected_table,
    stages_table,
    units_table,
)
from reelfit.report.wording import duration

_MARKS = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#+\-=]|(?<=^\d)[.)](?= )")
"""What Markdown acts on; an underscore between letters is none of it, so names stay readable."""


def render_markdown(content: ReportContent | RetrievalContent) -> str:
    """The report's words and tables, without its pictures; nothing in it is live markup."""
    if isinstance(content, RetrievalContent):
        return _text(content, retrieval_words(content))
    return _text(content, classification_words(content))


def _text(content: RunContent, words: Words) -> str:
    said = words.verdict
    parts = [
        f"# {_plain(content.title)}",
        f"{_plain(content.run_id)}, {duration(content.elapsed_seconds)}.",
        *(f"**Note first:** {_plain(sentence)}" for sentence in content.shrunk),
        f"**{_plain(said.headline)}**",
        _plain(" ".join(said.sentences)),
    ]
    for heading, reading, tables in [*words.sections, *_of_every_run(content, words)]:
        shown = [_table(table) for table in tables if table.rows]
        read = [_plain(reading)] if reading and shown else []
        parts += [f"## {_plain(heading)}", *read, *(shown or ["None."])]
    decided = [f"- {_plain(decision)}" for decision in content.decisions]
    parts += ["## What was decided", "\n".join(decided) or "None."]
    return "\n\n".join(parts) + "\n"


def _of_every_run(content: RunContent, words: Words) -> list[Said]:
    rejected = [reasons_table(content), rejected_table(content)]
    times = [stages_table(content), plans_table(content), units_table(content)]
    alike = " ".join(duplicates_words(content, labelled=words.labelled))
    return [
        ("Time and memory", "", times),
        ("What was rejected", "", rejected if content.rejected.height else []),
        ("Videos that look alike", alike, [duplicates_table(content, labelled=words.labelled)]),
        ("Folds", "", [words.folds]),
        ("Environment", "", environment_tables(content.environment)[:1]),
    ]


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

"""The report as one HTML page: no script, no request, readable in light, dark and print."""

import re
from typing import Any

from reelfit.report.body import Body, Fact
from reelfit.report.classification import classification_body
from reelfit.report.content import ReportContent, RunContent, Sheet
from reelfit.report.duplicates import duplicates_pictures, duplicates_table, duplicates_words
from reelfit.report.palette import NUM_LINES
from reelfit.report.pictures import strip_picture
from reelfit.report.retrieval import RetrievalContent, retrieval_body
from reelfit.report.tables import (
    environment_tables,
    plans_table,
    reasons_table,
    rejected_table,
    stages_table,
    units_table,
)
from reelfit.report.wording import count, duration, number


def render_page(content: ReportContent | RetrievalContent) -> str:
    """The whole report as one HTML file; the same content gives the same bytes.

    Whatever came from videos, tables or the study is escaped. Memory: the page and one picture.
    """
    if isinstance(content, RetrievalContent):
        return _page(content, retrieval_body(content))
    return _page(content, classification_body(content))


def _page(content: RunContent, body: Body) -> str:
    from reelfit.report.timeline import memory_timeline  # brings matplotlib

    return _filled(
        body.template,
        content=content,
        verdict=body.verdict,
        shrunk=content.shrunk,
        facts=_facts(content, body),
        sections=_sections(body),
        ranking=body.ranking,
        chance_place=body.chance_place,
        ticks=body.ticks,
        few=NUM_LINES,
        learning=body.learning,
        stages=stages_table(content),
        plans=plans_table(content),
        units=units_table(content),
        sheets=[_sheet(sheet) for sheet in content.contact_sheet],
        reasons=reasons_table(content),
        rejected=rejected_table(content),
        look_alikes=duplicates_pictures(content, labelled=body.labelled),
        duplicates=duplicates_table(content, labelled=body.labelled),
        duplicates_words=duplicates_words(content, labelled=body.labelled),
        labelled=body.labelled,
        folds=body.folds,
        environment=environment_tables(content.environment),
        timeline=memory_timeline(content.memory),
        **body.values,
    )


def _sections(body: Body) -> list[tuple[str, str]]:
    return [
        *body.found,
        ("learning", "Learning curves"),
        *body.shown,
        ("clips", "What the models saw"),
        ("memory", "Time and memory"),
        ("rejected", "What was rejected"),
        ("decided", "What was decided"),
        ("duplicates", "Videos that look alike"),
        ("folds", "Folds"),
        ("study", "The study"),
        ("environment", "Environment"),
    ]


def _filled(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reelfit.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template(template).render(values)


def _breakable(text: str) -> str:
    """``text`` escaped, with places after which a long name may go on in the next line."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[/_])(?=.)", text))


def _facts(content: RunContent, body: Body) -> list[Fact]:
    """What was run, with what the task has of its own after the videos."""
    folds, rejected = content.folds, content.rejected.height
    validated = folds.filter(folds["fold"] > 0)["fold"].n_unique()
    facts = [
        ("Videos", number(folds.height, 0), f"{count(folds['group'].n_unique(), 'group')}"),
        *body.facts,
        ("Models", number(len(body.ranking), 0), ""),
        ("Folds", number(validated, 0), "no group on two sides"),
        ("Rejected", number(rejected, 0), "with reasons below" if rejected else ""),
        ("Time", duration(content.elapsed_seconds), ""),
    ]
    peak = content.stages["host_peak_mb"].max()
    if isinstance(peak, float):
        budget = content.memory["budget_mb"].max()
        remark = f"of a budget of {number(budget, 0)} MiB" if isinstance(budget, float) else ""
        facts.append(("Highest peak", f"{number(peak, 0)} MiB", remark))
    return facts


def _sheet(sheet: Sheet) -> dict[str, Any]:
    rows = [{"caption": row.caption, "picture": strip_picture(row.frames)} for row in sheet.rows]
    return {"path": sheet.path, "label": sheet.label, "rows": rows}

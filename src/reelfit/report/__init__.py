"""What a run found, as one page that works offline and as plain tables: values in, text out."""

from reelfit.report.content import (
    Evaluation,
    Mistake,
    OtherSet,
    ReportContent,
    RunContent,
    Sheet,
    Strip,
)
from reelfit.report.markdown import render_markdown
from reelfit.report.page import render_page
from reelfit.report.retrieval import RetrievalContent

__all__ = [
    "Evaluation",
    "Mistake",
    "OtherSet",
    "ReportContent",
    "RetrievalContent",
    "RunContent",
    "Sheet",
    "Strip",
    "render_markdown",
    "render_page",
]

"""What the run found, for people: one page that works offline, and its tables as text.

Reads all tables and logs of the run, some clips -> writes ``report.html``, ``report.md``.
Runs again when the evaluation did. Peak memory: the tables and some pictures.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, final

from reelfit.data.listing import Listing
from reelfit.files import write_text
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study

if TYPE_CHECKING:
    from reelfit.report import ReportContent
    from reelfit.report.retrieval import RetrievalContent


@final
class Report(Stage):
    """Gathers what stands in the run's folder and draws it."""

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("evaluate", "judge_others", "evaluate_retrieval")
    writes: ClassVar[tuple[str, ...]] = ("report.html", "report.md")

    def settings(self, study: Study) -> Any:
        """What it is called."""
        return study.name

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: it is done at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The page and the text, of the same content."""
        from reelfit.data.shards import ShardReader
        from reelfit.report import render_markdown, render_page
        from reelfit.stages.reporting_classes import classification_content
        from reelfit.stages.reporting_texts import retrieval_content

        contents: dict[str, Callable[..., ReportContent | RetrievalContent]] = {
            "classify": classification_content,
            "retrieve": retrieval_content,
        }

        with ShardReader(Clips().folder(run, study)) as reader:
            content = contents[study.task](run, study, reader)
        write_text(run.file("report.md"), render_markdown(content))
        write_text(run.file("report.html"), render_page(content))

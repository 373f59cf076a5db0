"""What several commands take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from reelfit.errors import StudyError

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SETTING=VALUE", help="Lay a setting over the study's own."),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="gpu=8GiB,host=6GiB", help="The budget, instead of the study's."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin a new run; nothing is deleted.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only where the report is.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say how each unit ended.")]
AsJson = Annotated[bool, typer.Option("--json", help="Say all of it as JSON, an object a line.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study in YAML.")]


def memory_changes(memory: str | None) -> list[Any]:
    """A budget from the command line as changes of a study.

    Raises:
        StudyError: it is not written as one.
    """
    if memory is None:
        return []
    changes = []
    for part in memory.split(","):
        kind, equals, size = part.strip().partition("=")
        if kind not in ("gpu", "host") or not equals:
            raise StudyError(f"--memory {memory}: write it as --memory gpu=8GiB,host=6GiB")
        changes.append(f"memory.{kind}={size}")
    return changes

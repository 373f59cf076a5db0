"""What a stage is, and a unit of its work.

The parent process imports every stage but no torch: what needs torch, scikit-learn or a decoder is
imported inside ``work`` and ``gather``, which run in child processes alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reelfit.data.listing import Listing
from reelfit.errors import VideoError
from reelfit.memory.record import MemoryLog
from reelfit.runs import Run
from reelfit.study import Study


@dataclass(frozen=True)
class Unit:
    """The part of a stage that can fail, be started again and be resumed by itself.

    ``facts`` are JSON values that tell ``work`` what to do; ``items`` is what progress counts.
    """

    stage: str
    name: str
    items: int = 1
    facts: dict[str, Any] = field(default_factory=dict)


TOO_SLOW, BREAKS = "too slow", "breaks the decoder"
"""The reasons of items that ended the process which was at them."""
GATHER = "gather"
"""The name of the unit that ends a stage: it makes the stage's tables of what its units left."""


@dataclass(frozen=True)
class Context:
    """What a unit is given beside its run and study.

    ``shortages`` counts how often it died for want of memory in this session. ``begin_item`` tells
    the parent which item comes now and how many seconds it may take: native code that breaks or
    hangs cannot be stopped from within. ``refused`` has reason and detail of items that did so.
    """

    key: str
    threads: int
    memory: MemoryLog
    report_progress: Callable[[int, int], None]
    event: Callable[..., None]
    should_stop: Callable[[], bool]
    shortages: int = 0
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    tell_item: Callable[[str, float], None] = lambda _name, _seconds: None

    def begin_item(self, name: str, seconds: float) -> None:
        """Tells the parent that ``name`` comes now, and may take so long.

        Raises:
            VideoError: it ended processes before and is to be left out.
        """
        if name in self.refused:
            raise VideoError(*self.refused[name])
        self.tell_item(name, seconds)


class Stage(ABC):
    """One stage; its key is made of its name, version, settings and of what it reads."""

    name: ClassVar[str]
    version: ClassVar[int]
    reads: ClassVar[tuple[str, ...]]
    """The stages whose outputs this one reads."""
    writes: ClassVar[tuple[str, ...]]
    """The files of the run folder that stand when it is done."""
    items: ClassVar[str] = ""
    """What its units count, in the plural, for the progress shown; empty: it is done at once."""
    all_threads: ClassVar[bool] = False
    """Whether its units share the processors out among them; else each has one thread."""
    computes: ClassVar[bool] = False
    """Whether its units run networks, whose memory is planned: they allocate as it was measured."""
    resumes: ClassVar[bool] = False
    """Whether a unit, asked to stop, saves how far it is; else it begins again."""
    shrinks: ClassVar[bool] = False
    """Whether a unit that was short of memory does with less the next time; else it is alone."""

    @abstractmethod
    def settings(self, study: Study) -> Any:
        """What of the study its result depends on, as JSON values."""

    def is_asked(self, study: Study) -> bool:
        """Whether the study has any use for it; else nothing of it is done."""
        return True

    def inputs(self, listing: Listing) -> Any:
        """What of the user's own files its result depends on, as JSON values."""
        return None

    @abstractmethod
    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The units that are still to be done; whole ones are not among them."""

    @abstractmethod
    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Does one unit, in a child process."""

    def shrink(self, run: Run, study: Study, unit: Unit, *, host_bytes: int) -> bool:
        """Where a unit ran out of memory for good: makes its work less, as the study allows.

        True where ``units`` is to be asked again; runs in the parent, which needs no torch for it.
        """
        return False

    @abstractmethod
    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """Writes the stage's tables from what its units left, in a child process."""

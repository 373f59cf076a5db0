"""How a run speaks: bars on a terminal, plain lines elsewhere, JSON for programs."""

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from reelfit.cli.overview import summary_of
from reelfit.errors import OutOfMemoryError
from reelfit.memory.plan import Plan
from reelfit.pipeline import Display
from reelfit.runs import Run
from reelfit.session import Session
from reelfit.stages.plans import plan_rows
from reelfit.stages.stage import Stage

LINE_SECONDS = 10.0
"""Between two plain lines about one stage."""


@dataclass
class Voice:
    """Says what happens: on standard error while it works, on standard output what came of it."""

    quiet: bool
    verbose: bool
    as_json: bool
    errors: Console
    progress: Progress | None
    _bar: TaskID | None = None
    _began: float = 0.0
    _told: float = field(default=0.0)
    _name: str = ""
    _items: str = ""

    def begins(self, run: Run, begun: bool) -> None:
        """Says which run it is."""
        self._say(
            f"{'begins' if begun else 'goes on with'} {run.folder}",
            event="run",
            folder=str(run.folder),
            begun=begun,
        )

    def display(self) -> Display:
        """What ``run_stages`` tells of its way."""
        return Display(
            begin=lambda stage, total: self._begin(stage.name, stage.items, total),
            advance=self._advance,
            unit_ends=self._unit_ends,
            end=self._end,
            plans=self._plans_before_training,
        )

    def plans(
        self, plans: dict[str, Plan | OutOfMemoryError], *, console: Console | None = None
    ) -> None:
        """The table of what each network's step will hold, and why it is cut so."""
        made = {model: plan for model, plan in plans.items() if isinstance(plan, Plan)}
        if self.as_json:
            for model, plan in plans.items():
                facts = asdict(plan) if isinstance(plan, Plan) else {"error": str(plan)}
                self._print_json(event="plan", model=model, **facts)
            return
        console = console or _standard_output()
        if made:
            console.print(_drawn(plan_rows(made), keys_are_names=True))
        for model, plan in plans.items():
            said = f"error: {plan}"
            if isinstance(plan, Plan):
                said = f"{model}: {'; '.join([*plan.given_up, plan.why])}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def counting(self, name: str, items: str) -> Iterator[Callable[[int, int], None]]:
        """Shows work outside the stages; silent where there is nothing to do."""
        begun = False

        def advance(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                self._begin(name, items, total)
                begun = True
            self._advance(done, total)

        yield advance
        if begun:
            self._finish(name)

    def interrupted(self, again: str) -> None:
        """Says how to go on."""
        self._say(
            f"interrupted; all that was done is saved. To go on: {again}",
            event="interrupted",
            again=again,
            always=True,
        )

    def ends(self, session: Session) -> None:
        """The table of models, the peak and the path of the report."""
        run, summary = session.run, summary_of(session.run)
        if self.as_json:
            self._print_json(event="end", worked=session.worked, **summary)
        elif self.quiet:
            sys.stdout.write(f"{summary['report']}\n")
        else:
            if not session.worked:
                sys.stdout.write(f"finished before, nothing to do: {run.run_id}\n")
            print_table(summary["models"])
            if summary["others"]:
                print_table(summary["others"])
            sys.stdout.writelines(f"scores       {said}\n" for said in summary["in_blocks"])
            sys.stdout.write(
                f"peak memory  {summary['peak_mb']:,.0f} MiB in {summary['peak_of']}\n"
                f"report       {summary['report']}\n"
            )

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self.progress is not None:
            self.progress.stop()

    def _begin(self, name: str, items: str, total: int) -> None:
        self._name, self._items = name, items
        self._began = self._told = time.monotonic()
        if self.progress is not None:
            self.progress.start()
            self._bar = self.progress.add_task(name, total=total or None, rate="")
        elif self.as_json:
            self._print_json(event="stage_begins", stage=name, items=total)
        elif items:
            self._say(f"{name}: {total} {items}")

    def _advance(self, done: float, total: float) -> None:
        now = time.monotonic()
        if not self._items or done <= 0:
            return
        rate = done / max(now - self._began, 1e-9)
        if self.progress is not None and self._bar is not None:
            told = f"{rate:.1f} {self._items}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
            self.progress.update(self._bar, completed=done, total=total, rate=told)
        elif now - self._told >= LINE_SECONDS and done < total:
            self._told = now
            left = (total - done) / rate
            self._say(
                f"{self._name}: {done:.1f} of {total:g} {self._items}, about {left:.0f} s left",
                event="progress",
                stage=self._name,
                done=round(done, 3),
                total=total,
            )

    def _unit_ends(self, facts: dict[str, Any]) -> None:
        if self.as_json:
            self._print_json(event="unit_ends", **facts)
        elif self.verbose or "then" in facts:
            peak = f", at most {facts['host_peak_mb']:,.0f} MiB" if facts["host_peak_mb"] else ""
            by = f" by {facts['ended_by']}" if "ended_by" in facts else ""
            then = f"; then: {facts['then']}" if "then" in facts else ""
            self._say(
                f"  {facts['stage']} {facts['unit']}: {facts['outcome']}{by} "
                f"in {facts['seconds']:.1f} s{peak}{then}"
            )

    def _plans_before_training(self, plans: dict[str, Plan | OutOfMemoryError]) -> None:
        if self.as_json or self.verbose:
            self.plans(plans, console=self.errors)
        else:
            for model, plan in plans.items():
                if isinstance(plan, Plan) and plan.given_up:
                    self._say(
                        f"{model} has to shrink, as the study allows: {', '.join(plan.given_up)}"
                    )

    def _end(self, stage: Stage) -> None:
        self._finish(stage.name)

    def _finish(self, name: str) -> None:
        seconds = time.monotonic() - self._began
        if self.progress is not None and self._bar is not None:
            total = self.progress.tasks[self._bar].total or 1
            self.progress.update(
                self._bar, total=total, completed=total, rate=f"done in {seconds:.1f} s"
            )
            self._bar = None
        else:
            self._say(
                f"{name}: done in {seconds:.1f} s",
                event="stage_ends",
                stage=name,
                seconds=round(seconds, 3),
            )

    def _say(self, text: str, *, always: bool = False, **facts: Any) -> None:
        if self.as_json:
            if facts:
                self._print_json(**facts)
        elif always or not self.quiet:
            self.errors.print(text, markup=False, highlight=False, soft_wrap=True)

    def _print_json(self, **facts: Any) -> None:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def choose_voice(*, quiet: bool, verbose: bool, as_json: bool) -> Voice:
    """Bars where standard error is a terminal and they were not declined, else plain lines."""
    errors = Console(stderr=True)
    progress = None
    if errors.is_terminal and not quiet and not as_json:
        progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[rate]:>18}"),
            _TimeLeft(),
            console=errors,
        )
    return Voice(quiet=quiet, verbose=verbose, as_json=as_json, errors=errors, progress=progress)


class _TimeLeft(TimeRemainingColumn):
    """Nothing where nothing is left to do."""

    @override
    def render(self, task: Task) -> Text:
        return Text("") if task.finished else super().render(task)


def print_table(rows: Sequence[dict[str, Any]], *, sentences: Collection[str] = ()) -> None:
    """Rows of the same keys as a table on standard output; columns of ``sentences`` may fold."""
    _standard_output().print(_drawn(rows, sentences=sentences))


def _standard_output() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200)


def _drawn(
    rows: Sequence[dict[str, Any]],
    *,
    keys_are_names: bool = False,
    sentences: Collection[str] = (),
) -> Table:
    """The keys as heads of columns; names of models stay as they are."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(rows[0]):
        text = not number or name in sentences
        justify: Literal["left", "right"] = "left" if text else "right"
        head = name if keys_are_names else name.replace("_", " ")
        table.add_column(head, justify=justify, no_wrap=name not in sentences, overflow="fold")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

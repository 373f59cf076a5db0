"""What ``reelfit memory`` says: the analysis of one run's memory, as tables or as JSON."""

import sys
from pathlib import Path
from typing import Any

from reelfit.cli.display import print_table
from reelfit.cli.overview import folder_of_runs, runs_below
from reelfit.errors import RunError
from reelfit.files import read_json_lines, write_text
from reelfit.report.consumption import Consumption, UnitGrowth, consumption
from reelfit.runs import Run

LOG = "memory.jsonl"


def run_at(place: Path) -> Run:
    """The run in the folder ``place``, or the newest of a study or of a folder of runs.

    Raises:
        RunError: there is none.
    """
    if (place / "run.json").exists():
        return Run(place)
    folder = folder_of_runs(place)
    found = runs_below(folder)
    if not found:
        raise RunError(f"{folder}: there is no run here; give a run's folder, or a study")
    return found[-1]


def read_consumption(run: Run) -> Consumption:
    """The analysis of ``run``, finished or not.

    Raises:
        RunError: it has no memory log.
    """
    lines = read_json_lines(run.file(LOG))
    if not lines:
        raise RunError(f"{run.file(LOG)}: there is nothing in it yet")
    return consumption(lines, read_json_lines(run.file("events.jsonl")))


def draw(run: Run, picture: Path | None) -> str | None:
    """Draws memory over time into ``picture``, or into the run; says where, if there was a line."""
    from reelfit.report.drawing import standalone
    from reelfit.report.history import memory_table
    from reelfit.report.timeline import memory_timeline

    drawing = memory_timeline(memory_table(read_json_lines(run.file(LOG))))
    if drawing is None:
        return None
    path = picture or run.file("memory.svg")
    write_text(path, standalone(drawing.svg))
    return str(path)


def as_object(found: Consumption) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "verdict": found.verdict,
        "peaks": [peak._asdict() for peak in found.peaks],
        "growth": [_growth_values(each) for each in found.growths],
        "recoveries": [recovery._asdict() for recovery in found.recoveries],
        "predictions": [prediction._asdict() for prediction in found.predictions],
    }


def _growth_values(each: UnitGrowth) -> dict[str, Any]:
    """Slopes with their intervals: value, low, high."""
    slope, per_epoch = each.growth.slope, each.work_per_epoch
    factors = {
        "mb_per_100_steps": 100.0 if each.work == "step" else None,
        "mb_per_epoch": per_epoch,
        "mb_per_minute": 60.0 if each.work == "second" else None,
    }
    scaled = {
        name: None if slope is None or factor is None else vars(slope.times(factor))
        for name, factor in factors.items()
    }
    return {
        "stage": each.stage,
        "unit": each.unit,
        "measure": each.measure,
        "verdict": each.growth.verdict,
        "samples": each.growth.samples,
        "gained_mb": None if each.growth.gained is None else vars(each.growth.gained),
        **scaled,
    }


def tell(found: Consumption, *, picture: str | None) -> None:
    """Prints the tables, then the verdict."""
    _section("peak memory, MiB")
    print_table([_peak_row(peak._asdict()) for peak in found.peaks])
    judged = [each for each in found.growths if each.growth.slope is not None]
    if judged:
        _section("growth, MiB (95 % confidence interval)")
        print_table([_growth_row(each) for each in judged])
    if found.recoveries:
        _section("recoveries")
        print_table(
            [
                {"unit": f"{r.stage} {r.unit}", "cost": _seconds(r.seconds), "what": r.told}
                for r in found.recoveries
            ]
        )
    if found.predictions:
        _section("predicted beside measured, MiB")
        print_table(
            [
                {
                    "model": p.model,
                    "predicted": f"{p.predicted_mb:,.0f}",
                    "measured": _whole(p.measured_mb),
                }
                for p in found.predictions
            ]
        )
    sys.stdout.write(f"\n{found.verdict}\n")
    if picture is not None:
        sys.stdout.write(f"picture      {picture}\n")


def _section(heading: str) -> None:
    sys.stdout.write(f"\n{heading}\n")


def _peak_row(peak: dict[str, Any]) -> dict[str, Any]:
    budget_mb = peak["budget_mb"]
    share = None if budget_mb is None else f"{peak['host_peak_mb'] / budget_mb:.0%}"
    row = {
        "stage": peak["stage"],
        "model": peak["model"],
        "fold": peak["fold"],
        "processes": peak["processes"],
        "peak": _whole(peak["host_peak_mb"]),
        "budget": _whole(budget_mb),
        "of_it": share,
    }
    return row if peak["gpu_peak_mb"] is None else row | {"on_GPU": _whole(peak["gpu_peak_mb"])}


def _growth_row(each: UnitGrowth) -> dict[str, Any]:
    values = _growth_values(each)
    return {
        "unit": f"{each.stage} {each.unit}" + (" on the GPU" if each.measure == "gpu" else ""),
        "per_epoch": _interval(values["mb_per_epoch"]),
        "per_100_steps": _interval(values["mb_per_100_steps"]),
        "per_minute": _interval(values["mb_per_minute"]),
        "verdict": each.growth.verdict,
    }


def _interval(slope: dict[str, float] | None) -> str | None:
    if slope is None:
        return None
    value, low, high = (f"{round(slope[name], 1) + 0.0:,.1f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"  # + 0.0: no -0.0


def _whole(size_mb: float | None) -> str | None:
    return None if size_mb is None else f"{size_mb:,.0f}"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"

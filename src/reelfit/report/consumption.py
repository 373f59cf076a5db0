"""What the logs of a run tell of its memory: peaks, growth, recoveries, predictions."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from reelfit.memory.growth import FEWEST, Growth, judge_growth
from reelfit.report.recoveries import Event, Recovery, recoveries
from reelfit.report.wording import count, number

MIB = 2**20
Line = dict[str, Any]


class Peak(NamedTuple):
    """The most that one process of a stage, or of one model and fold, held at a time."""

    stage: str
    model: str | None
    fold: int | None
    processes: int
    host_peak_mb: float
    budget_mb: float | None
    gpu_peak_mb: float | None


class UnitGrowth(NamedTuple):
    """How what one process held grew with its work, per step where it has steps."""

    stage: str
    unit: str
    measure: str
    """``host``: resident memory; ``gpu``: what torch had allocated there."""
    work: str
    """``step`` or ``second``."""
    growth: Growth
    work_per_epoch: float | None


class Prediction(NamedTuple):
    """What was predicted of a model's training, beside what was measured."""

    model: str
    predicted_mb: float
    measured_mb: float | None


@dataclass(frozen=True)
class Consumption:
    """The analysis of one run."""

    peaks: list[Peak]
    growths: list[UnitGrowth]
    recoveries: list[Recovery]
    predictions: list[Prediction]

    @property
    def verdict(self) -> str:
        """Whether anything leaks, in a sentence or two."""
        judged = [each for each in self.growths if each.growth.slope is not None]
        growing = [each for each in judged if each.growth.verdict == "growing"]
        if not judged:
            return (
                f"Nothing can be said of leaks: no process left {FEWEST} lines after its warm-up."
            )
        if growing:
            return "This leaks: " + "; ".join(map(_told, growing)) + "."
        unclear = [each.unit for each in judged if each.growth.verdict == "unclear"]
        widest = max(judged, key=_at_most_mb)
        said = (
            f"Nothing is seen to leak in {count(len(judged), 'process')} of enough length. The "
            f"least sure is {widest.stage} {widest.unit}, which gained at most "
            f"{number(_at_most_mb(widest), 0)} MiB after its warm-up."
        )
        if unclear:
            said += f" Look again after a longer run at {', '.join(unclear)}: it rises by little."
        return said


def consumption(lines: list[Line], events: list[Event]) -> Consumption:
    """The analysis, from the lines of ``memory.jsonl`` and of ``events.jsonl``."""
    peaks = _peaks(lines, events)
    return Consumption(
        peaks, _growths(lines), recoveries(lines, events), _predictions(peaks, events)
    )


def _peaks(lines: Iterable[Line], events: Iterable[Event]) -> list[Peak]:
    """In the order in which stages, models and folds began."""
    places: dict[tuple[str, str], tuple[str | None, int | None]] = {}
    found: dict[tuple[str, str | None, int | None], list[Line]] = defaultdict(list)
    lines = list(lines)
    for line in lines:
        unit = (line["stage"], line["unit"])
        if line.get("model") is not None or unit not in places:
            places[unit] = (line.get("model"), line.get("fold"))
    for line in lines:
        unit = (line["stage"], line["unit"])
        found[(unit[0], *places[unit])].append(line)
    for event in events:  # a short life may have ended between two lines
        unit = (event.get("stage", ""), event.get("unit", ""))
        if event["event"] == "unit_ends" and unit in places and event["host_peak_mb"]:
            found[(unit[0], *places[unit])].append(event)
    return [_peak(*place, of_place) for place, of_place in found.items()]


def _peak(stage: str, model: str | None, fold: int | None, lines: list[Line]) -> Peak:
    budgets = [line["budget_mb"] for line in lines if line.get("budget_mb") is not None]
    on_gpu = [line["max_allocated_mb"] for line in lines if line.get("max_allocated_mb")]
    return Peak(
        stage,
        model,
        fold,
        len({(line["unit"], line["pid"]) for line in lines if "pid" in line}),
        max(line["host_peak_mb"] for line in lines),
        max(budgets, default=None),
        max(on_gpu, default=None),
    )


_MEASURES: Final = {"host": "host_rss_mb", "gpu": "allocated_mb"}


def _growths(lines: Iterable[Line]) -> list[UnitGrowth]:
    processes: dict[tuple[str, str, int], list[Line]] = defaultdict(list)
    for line in lines:
        processes[line["stage"], line["unit"], line["pid"]].append(line)
    found = []
    for (stage, unit, _), of_process in processes.items():
        stepped = [line for line in of_process if line.get("global_step") is not None]
        by_step = len({line["global_step"] for line in stepped}) >= FEWEST
        used = stepped if by_step else of_process
        began = used[0]["timestamp"]
        work = [line["global_step"] if by_step else line["timestamp"] - began for line in used]
        for measure, name in _MEASURES.items():
            pairs = [
                (at, line[name]) for at, line in zip(work, used, strict=True) if line.get(name)
            ]
            if not pairs:
                continue
            at, held_mb = np.array(sorted(pairs), dtype=float).T
            growth = judge_growth(at, held_mb)
            per_epoch = _work_per_epoch(stepped) if by_step else None
            unit_of_work = "step" if by_step else "second"
            found.append(UnitGrowth(stage, unit, measure, unit_of_work, growth, per_epoch))
    return found


def _work_per_epoch(stepped: list[Line]) -> float | None:
    """Steps from the first line of the first epoch seen to that of the last, over the epochs."""
    first: dict[int, int] = {}
    for line in stepped:
        if line.get("epoch") is not None:
            first.setdefault(line["epoch"], line["global_step"])
    if len(first) < 2:
        return None
    begin, end = min(first), max(first)
    return (first[end] - first[begin]) / (end - begin)


def _told(each: UnitGrowth) -> str:
    assert each.growth.slope is not None
    per, factor = ("100 steps", 100.0) if each.work == "step" else ("minute", 60.0)
    slope = each.growth.slope.times(factor)
    return (
        f"{each.stage} {each.unit} gains {number(slope.value, 1)} MiB per {per} "
        f"({number(slope.low, 1)} to {number(slope.high, 1)})"
    )


def _at_most_mb(each: UnitGrowth) -> float:
    return each.growth.gained.high if each.growth.gained is not None else 0.0


def _predictions(peaks: list[Peak], events: Iterable[Event]) -> list[Prediction]:
    """Of each model the last plan; plans that this version does not know are passed over."""
    predicted: dict[str, float] = {}
    for event in events:
        sizes = (event.get("predicted_resident_bytes"), event.get("predicted_peak_bytes"))
        size_bytes = next((size for size in sizes if size is not None), None)
        if event["event"] == "plan" and size_bytes is not None and "model" in event:
            predicted[event["model"]] = size_bytes / MIB
    return [
        Prediction(model, predicted_mb, _measured(model, peaks))
        for model, predicted_mb in predicted.items()
    ]


def _measured(model: str, peaks: list[Peak]) -> float | None:
    of_model = [peak for peak in peaks if peak.stage == "train" and peak.model == model]
    return max((peak.gpu_peak_mb or peak.host_peak_mb for peak in of_model), default=None)

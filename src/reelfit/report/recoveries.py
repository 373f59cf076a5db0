"""What a run recovered from, and what each time cost."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from reelfit.report.wording import count

Event = dict[str, Any]
Line = dict[str, Any]


class Recovery(NamedTuple):
    """One time that something was done again, or given up."""

    timestamp: str
    stage: str
    unit: str
    what: str
    told: str
    seconds: float | None
    """What had to be done again; None where nothing tells."""


def recoveries(lines: Iterable[Line], events: list[Event]) -> list[Recovery]:
    """Every shortage and every death among ``events``, in their order."""
    lines = list(lines)
    found = []
    for place, event in enumerate(events):
        what = event.get("outcome") if event["event"] == "unit_ends" else event["event"]
        tell = _SENTENCES.get(what or "")
        if tell is None:
            continue
        seconds = event.get("seconds")
        if event["event"] == "unit_ends":
            seconds = _lost_seconds(event, events[place + 1 :], lines)
        found.append(
            Recovery(
                event["timestamp"], event["stage"], event["unit"], str(what), tell(event), seconds
            )
        )
    return found


def _lost_seconds(death: Event, later: Iterable[Event], lines: list[Line]) -> float | None:
    """From when the dead process passed the step that the next one went on from, to its death.

    All that it did, where the next one began anew.
    """
    of_unit = [e for e in later if (e.get("stage"), e.get("unit")) == _place(death)]
    next_end = next((at for at, e in enumerate(of_unit) if e["event"] == "unit_ends"), None)
    resumed = next((e for e in of_unit[:next_end] if e["event"] == "resumed"), None)
    if resumed is None:
        return float(death["seconds"])
    died = datetime.fromisoformat(death["timestamp"]).timestamp()
    before = [
        line
        for line in lines
        if (line["stage"], line["unit"]) == _place(death)
        and died - death["seconds"] <= line["timestamp"] <= died
        and line.get("global_step") is not None
    ]
    if not before:
        return None
    passed = [line["timestamp"] for line in before if line["global_step"] > resumed["step"]]
    return round(died - passed[0], 3) if passed else 0.0


def _place(event: Event) -> tuple[str, str]:
    return event["stage"], event["unit"]


def _short(event: Event) -> str:
    said = f"memory ran out at step {event['step']}; it was run again with "
    said += f"{count(event['micro_batch'], 'sample')} per pass"
    technique = event.get("technique", "plain")
    return said if technique == "plain" else f"{said}, {technique}"


_SENTENCES: Final[dict[str, Callable[[Event], str]]] = {
    "out_of_memory": _short,
    "out_of_memory_predicting": lambda e: (
        f"memory ran out while predicting; it went on with {count(e['clips'], 'clip')} at a time"
    ),
    "memory_nearly_full": lambda e: (
        f"nearly full before step {e['step']}; it went on with "
        f"{count(e['micro_batch'], 'sample')} per pass"
    ),
    "samples_skipped": lambda e: (
        f"memory ran out at step {e['step']}; {count(e['samples'], 'sample')} of it were given up"
    ),
    "killed": lambda e: f"killed after {e['seconds']:.1f} s",
    "restart": lambda e: f"began again from its checkpoint after {e['seconds']:.1f} s",
}

"""What a run's logs tell: its units, its memory, how long it worked and what it decided."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import polars as pl

from reelfit.memory.budget import format_size
from reelfit.report.content import MEMORY, PLANS, STAGES
from reelfit.report.wording import count, listed, number

Event = dict[str, Any]

SESSION = "session_begins"
"""The event with which each process that worked on a run began."""
DEATHS = ("killed", "restart")
"""Outcomes of a unit that did not end by itself: killed, or not to be trusted any more."""


def unit_table(events: Iterable[Event]) -> pl.DataFrame:
    """One row per unit in the order in which they began; ``retries`` counts how often it died."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sorted((e for e in events if e["event"] == "unit_ends"), key=_began):
        place = (event["stage"], event["unit"])
        row = rows.setdefault(
            place,
            dict(zip(STAGES, (*place, 0.0, None, 0), strict=True)),
        )
        row["seconds"] += event["seconds"]
        row["retries"] += event["outcome"] in DEATHS
        peak = event["host_peak_mb"]
        row["host_peak_mb"] = max(filter(None, (row["host_peak_mb"], peak)), default=None)
    return pl.DataFrame(list(rows.values()), schema=STAGES)


def _began(event: Event) -> float:
    return _seconds(event) - float(event["seconds"])


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def memory_table(lines: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """The lines of the memory log, timed from the first; torn lines are not among them."""
    frame = pl.DataFrame(
        [{name: line.get(name) for name in ("timestamp", *list(MEMORY)[1:])} for line in lines],
        schema={"timestamp": pl.Float64} | {name: MEMORY[name] for name in list(MEMORY)[1:]},
    )
    return frame.sort("timestamp", maintain_order=True).select(
        (pl.col("timestamp") - pl.col("timestamp").min()).alias("seconds"), *list(MEMORY)[1:]
    )


def plan_table(events: Iterable[Event], lines: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """The last plan of each network beside what its processes held, by the units' ends.

    On a GPU it is beside what torch had allocated there, by the memory log.
    """
    plans: dict[str, dict[str, Any]] = {}
    host_mb: dict[str, float] = {}
    for event in events:
        if event["event"] == "plan" and "predicted_resident_bytes" in event:
            plans[event["model"]] = {
                **{name: event[name] for name in list(PLANS)[:4]},
                "predicted_mb": event["predicted_resident_bytes"] / 2**20,
            }
        elif event["event"] == "shrunk":  # what ran before was another model
            host_mb.pop(event["model"], None)
        elif event["event"] == "unit_ends" and event["stage"] == "train":
            model = event["unit"].partition("/")[0]
            host_mb[model] = max(host_mb.get(model, 0.0), event["host_peak_mb"] or 0.0)
    gpu_mb: dict[str, float] = {}
    for line in lines:
        model, peak_mb = line.get("model"), line.get("max_allocated_mb")
        if model is not None and peak_mb:
            gpu_mb[model] = max(gpu_mb.get(model, 0.0), peak_mb)
    rows = [
        plan | {"measured_mb": gpu_mb.get(model) or host_mb.get(model) or None}
        for model, plan in plans.items()
    ]
    return pl.DataFrame(rows, schema=PLANS)


def worked_seconds(events: list[Event]) -> float:
    """Seconds that the run was worked on; the time between two sessions does not count."""
    total, began, last = 0.0, None, None
    for event in events:
        now = _seconds(event)
        if event["event"] == SESSION:
            total += last - began if began is not None and last is not None else 0.0
            began = now
        last = now
    return total + (last - began if began is not None and last is not None else 0.0)


def decisions(events: Iterable[Event]) -> list[str]:
    """In sentences, what the run did that the study had not said."""
    told = [_SENTENCES[event["event"]](event) for event in events if event["event"] in _SENTENCES]
    return list(dict.fromkeys(sentence for sentence in told if sentence))


def shrunk_models(given_up: Mapping[str, Sequence[str]], events: Iterable[Event]) -> list[str]:
    """In sentences, which models had to shrink, each as it was in the end; events say why."""
    last = {event["model"]: event["why"] for event in events if event["event"] == "shrunk"}
    return [
        f"{model} is not the model that the study asks for but a smaller one, which it allows: "
        f"{', '.join(lost)}. With less given up, {last.get(model, 'memory would not do')}."
        for model, lost in given_up.items()
    ]


def _place(event: Event) -> str:
    return f"{event['stage']} {event['unit']}"


def _indexed(event: Event) -> str:
    if not event["rejected"]:
        return ""
    rows = count(event["rejected"], "row")
    return f"{rows} of the table could not be used and were left out, each with its reason."


def _split(event: Event) -> str:
    told = []
    if event["duplicates"]:
        videos = count(event["duplicates"], "video")
        told.append(f"{videos} had the same content as another and were taken once.")
    if event.get("joined"):
        pairs, fewer = count(event["look_alikes"], "pair"), count(event["joined"], "group")
        told.append(
            f"{pairs} of videos look alike and stay together, which leaves {fewer} fewer; "
            f"the largest has {event['largest']} of {count(event['videos'], 'video')}."
        )
    return " ".join(told)


def _clips(event: Event) -> str:
    if not event["rejected"]:
        return ""
    return f"{count(event['rejected'], 'video')} could not be decoded and were left out."


def _features(event: Event) -> str:
    if not event["rejected"]:
        return ""
    videos = count(event["rejected"], "video")
    return f"{videos} had a frame that features are made of damaged: no model saw them."


def _features_cut(event: Event) -> str:
    fewest, most = event["fewest"], event["most"]
    told = count(most, "feature") if fewest == most else f"{fewest} to {most} features"
    why = ", ".join(f"{number(mean, 1)} {reason}" for reason, mean in event["reasons"].items())
    why = f" (in the mean {why})" if why else ""
    return f"{event['model']} left {told} out on its folds{why}: see cut_features.parquet."


def _ensemble(event: Event) -> str:
    how = {"mean": "the mean", "weighted": "a weighted mean", "stacked": "a logistic regression"}
    of = event["of"]
    if event["how"] == "weighted":
        of = [
            f"{number(share, 2)} {model}" for model, share in zip(of, event["shares"], strict=True)
        ]
    learnt = "" if event["how"] == "mean" else ", learnt for each fold from the others' predictions"
    return f"{event['model']} is {how[event['how']]} of {', '.join(of)}{learnt}."


def _died(event: Event) -> str:
    if event["outcome"] not in DEATHS:
        return ""
    if event["then"] == "without it":
        return (
            f"{event['item']} ended the process that decoded it ({event['why']}): it is left out."
        )
    then = _THEN[event["then"]]
    if event["outcome"] == "restart":
        return f"{_place(event)} ran out of memory ({event['message']}), and {then}."
    held = ""
    if event["held_mb"] is not None:
        held = f" while it held {number(event['held_mb'], 0)} of its "
        held += f"{number(event['budget_mb'], 0)} MiB"
    return f"{_place(event)} was ended by {event['ended_by']}{held}: {_cause(event)}, and {then}."


def _cause(event: Event) -> str:
    if not event["short_of_memory"]:
        return "memory was not short"
    if event["kernel_kills"] and event["ended_by"] == "SIGKILL":
        return "the kernel killed it because memory was short"
    if event["hard_limit"] and event["ended_by"] != "SIGKILL":
        return "it broke at its limit of memory"
    return "it held nearly all that it may"


def _session(event: Event) -> str:
    workers, threads = event["workers"], event["threads"]
    return (
        f"{count(workers, 'process')} side by side, {count(threads, 'thread')} in each that trains."
    )


def _epoch(event: Event) -> str:
    drawn = {
        "sampling": "as many draws as there are training clips, each class equally often",
        "group_sampling": "as many draws as there are training clips, each class equally often and "
        "in it each group: some clips come twice and some not at all",
    }
    said = drawn.get(event["drawn"], "every training clip once, in an order of its own")
    made = "; copies are made anew in each epoch" if event["made_when_read"] else ""
    return f"An epoch of {event['model']} is {said}{made}."


def _left_out(event: Event) -> str:
    frames = count(event["frames"], "frame")
    return f"{event['path']}: {frames} are damaged, and its clip shows whole ones alone."


_THEN: Final = {
    "same plan": "it went on with the same plan",
    "smaller plan": "it was started again with a smaller plan",
    "alone": "it was started again with no other beside it",
    "given up": "it was given up",
    "smaller model": "its model became smaller, as the study allows",
}


def _asked_anew(event: Event) -> str:
    told = [f"{name} from {_short(old)} to {_short(new)}" for name, old, new in event["changes"]]
    when = "after the first report" if event["reported"] else "while the run was under way"
    return f"Changed {when}: {listed(told)}. No model was trained again for that."


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    named = [str(one["name"] if isinstance(one, dict) else one) for one in value]
    return listed(named) if named else "none"


def in_blocks(event: Event) -> str:
    """How large a matrix of scores would have been that was made and used in blocks."""
    sizes = f"{number(event['videos'], 0)} videos x {number(event['texts'], 0)} texts"
    return f"{sizes}: scored in blocks; whole, {format_size(event['matrix_bytes'])}"


_SENTENCES: Final[dict[str, Callable[[Event], str]]] = {
    SESSION: _session,
    "indexed": _indexed,
    "split": _split,
    "clips": _clips,
    "frames_left_out": _left_out,
    "epoch": _epoch,
    "features": _features,
    "features_cut": _features_cut,
    "ensemble": _ensemble,
    "unit_ends": _died,
    "asked_anew": _asked_anew,
    "resumed": lambda e: f"{_place(e)} went on from its checkpoint at step {e['step']}.",
    "out_of_memory": lambda e: (
        f"{_place(e)}: memory ran out at step {e['step']}, which was run again with "
        f"{count(e['micro_batch'], 'sample')} per pass; the effective batch stayed."
    ),
    "out_of_memory_predicting": lambda e: (
        f"{_place(e)}: memory ran out in predictions, which went on with "
        f"{count(e['clips'], 'clip')} at once."
    ),
    "memory_nearly_full": lambda e: (
        f"{_place(e)}: memory was nearly full before step {e['step']}, which was cut into passes "
        f"of {count(e['micro_batch'], 'sample')}."
    ),
    "samples_skipped": lambda e: (
        f"{_place(e)}: memory ran out at step {e['step']}, and its {count(e['samples'], 'sample')} "
        "were given up, as the study asks; they are in no mean."
    ),
    "checkpoint_set_aside": lambda e: f"{_place(e)}: {e['message']}; the one before it was used.",
    "scores_in_blocks": lambda e: f"{_place(e)}: {in_blocks(e)}.",
    "memory_warning": lambda e: f"{_place(e)} {e['message']}.",
}

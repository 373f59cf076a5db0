"""What stands in runs' folders, in the few figures that a terminal shows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelfit.files import read_json_lines
from reelfit.runs import Run, holder_of

if TYPE_CHECKING:
    import polars as pl

    from reelfit.study import Study

SHOWN = ("roc_auc", "accuracy", "f1", "equal_error_rate")


def summary_of(run: Run) -> dict[str, Any]:
    """The models with their metrics, the highest peak of any process, and where the report is."""
    import polars as pl

    from reelfit.report.history import in_blocks
    from reelfit.study_yaml import read_study

    study = read_study(run.study_file, environment={})
    task: str = study.task
    if task == "retrieve":
        models = retrieving_models(pl.read_parquet(run.file("retrieval_summary.parquet")))
    else:
        models = classifying_models(pl.read_parquet(run.file("summary.parquet")))
    peak_mb, peak_of = _highest_peak(run)
    events = read_json_lines(run.file("events.jsonl"))
    return {
        "run": str(run.folder),
        "report": str(run.file("report.html")),
        "models": models,
        "others": _on_others(run, study),
        "in_blocks": list(
            dict.fromkeys(in_blocks(e) for e in events if e["event"] == "scores_in_blocks")
        ),
        "peak_mb": peak_mb,
        "peak_of": peak_of,
    }


def classifying_models(summary: "pl.DataFrame") -> list[dict[str, Any]]:
    """A row for each model of SUMMARY."""
    rows = []
    for model in summary["model"].unique(maintain_order=True):
        of_model = {row["metric"]: row for row in summary.filter(model=model).to_dicts()}
        first = of_model[SHOWN[0]]
        rows.append(
            {
                "model": model,
                SHOWN[0]: first["out_of_fold"],
                f"{SHOWN[0]}_low": first["low"],
                f"{SHOWN[0]}_high": first["high"],
                **{metric: of_model[metric]["out_of_fold"] for metric in SHOWN[1:]},
                "best_fold": first["best_fold"],
            }
        )
    return rows


def retrieving_models(summary: "pl.DataFrame") -> list[dict[str, Any]]:
    """A row for each model and direction of RETRIEVAL_SUMMARY, narrow enough for a terminal."""
    rows = []
    for model in summary["model"].unique(maintain_order=True):
        for direction in ("video_to_text", "text_to_video"):
            of_direction = summary.filter(model=model, direction=direction).to_dicts()
            found = {row["metric"]: row for row in of_direction}
            first = found["recall@1"]
            rows.append(
                {
                    "model": model,
                    "direction": direction,
                    "recall@1": first["value"],
                    "recall@1_low": first["low"],
                    "recall@1_high": first["high"],
                    "median_rank": found["median_rank"]["value"],
                }
            )
    return rows


def _on_others(run: Run, study: "Study") -> list[dict[str, Any]]:
    """What each model reaches on each other set, beside out of fold."""
    import polars as pl

    if not study.evaluate_on:
        return []
    shown = pl.read_parquet(run.file("evaluate_on.parquet")).filter(
        (pl.col("way") == "each") & (pl.col("metric") == SHOWN[0])
    )
    names = {"value": SHOWN[0], "low": f"{SHOWN[0]}_low", "high": f"{SHOWN[0]}_high"}
    known = ("other", "model", "videos", "value", "low", "high", "out_of_fold", "drop")
    return shown.select(known).rename(names | {"other": "on"}).to_dicts()


def _highest_peak(run: Run) -> tuple[float, str]:
    peaks = [
        (event["host_peak_mb"] or 0.0, f"{event['stage']} {event['unit']}")
        for event in read_json_lines(run.file("events.jsonl"))
        if event["event"] == "unit_ends"
    ]
    peaks += [
        (event["host_peak_mb"], "the parent")
        for event in read_json_lines(run.file("events.jsonl"))
        if event["event"] == "session_ends"
    ]
    return max(peaks, default=(0.0, "no process"))


def folder_of_runs(place: Path) -> Path:
    """Where the runs of a study stand; a folder is that folder."""
    if not place.is_file():
        return place
    from reelfit.study_yaml import read_study

    study = read_study(place)
    return study.runs / study.name


def runs_below(folder: Path) -> list[Run]:
    """Every run in ``folder`` or below it, oldest first."""
    found = {path.parent for path in folder.glob("**/run.json")}
    return [Run(path) for path in sorted(found, key=lambda path: path.name)]


def overview(folder: Path) -> list[dict[str, Any]]:
    """Every run below ``folder``, oldest first, and how far it is."""
    rows = []
    for run in runs_below(folder):
        holder = holder_of(run)
        state = "finished" if run.finished else "stopped"
        done = [path.stem for path in run.state.glob("*.json") if path.stem != "finished"]
        rows.append(
            {
                "run": str(run.folder),
                "state": state if holder is None else f"at work: {holder}",
                "stages_done": len(done),
            }
        )
    return rows

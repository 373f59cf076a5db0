"""What stands in runs' folders, in the few figures that a terminal shows."""

from pathlib import Path
from typing import Any

from reelfit.files import read_json_lines
from reelfit.runs import Run, holder_of

SHOWN = ("roc_auc", "accuracy", "f1", "equal_error_rate")


def summary_of(run: Run) -> dict[str, Any]:
    """The models with their metrics, the highest peak of any process, and where the report is."""
    import polars as pl

    summary = pl.read_parquet(run.file("summary.parquet"))
    models = []
    for model in summary["model"].unique(maintain_order=True):
        of_model = {
            row["metric"]: row
            for row in summary.filter(pl.col("model") == model).iter_rows(named=True)
        }
        first = of_model[SHOWN[0]]
        models.append(
            {
                "model": model,
                SHOWN[0]: first["out_of_fold"],
                f"{SHOWN[0]}_low": first["low"],
                f"{SHOWN[0]}_high": first["high"],
                **{metric: of_model[metric]["out_of_fold"] for metric in SHOWN[1:]},
                "best_fold": first["best_fold"],
            }
        )
    peak_mb, peak_of = _highest_peak(run)
    return {
        "run": str(run.folder),
        "report": str(run.file("report.html")),
        "models": models,
        "others": _on_others(run),
        "peak_mb": peak_mb,
        "peak_of": peak_of,
    }


def _on_others(run: Run) -> list[dict[str, Any]]:
    """What each model reaches on each other set, beside out of fold."""
    import polars as pl

    from reelfit.study_yaml import read_study

    asked = [other.name for other in read_study(run.study_file, environment={}).evaluate_on]
    if not asked:
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

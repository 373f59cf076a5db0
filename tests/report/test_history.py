"""What a run's logs tell of its plans."""

from reelfit.report import ReportContent, render_markdown
from reelfit.report.history import plan_table

MIB = 2**20


def planned(model: str, predicted_mib: int) -> dict[str, object]:
    return {
        "event": "plan",
        "model": model,
        "technique": "plain",
        "micro_batch": 8,
        "accumulation": 4,
        "predicted_resident_bytes": predicted_mib * MIB,
    }


def ended(unit: str, peak_mb: float | None, stage: str = "train") -> dict[str, object]:
    return {"event": "unit_ends", "stage": stage, "unit": unit, "host_peak_mb": peak_mb}


def test_the_last_plan_stands_beside_the_highest_peak_of_its_model() -> None:
    events = [
        planned("naive_cnn", 400),
        planned("naive_cnn", 500),
        {"event": "plan", "model": "r2plus1d", "error": "one sample needs about 9.0 GiB"},
        ended("naive_cnn/fold_1", 480.0),
        ended("naive_cnn/fold_2", 510.0),
        ended("naive_cnn/fold_3", None),
        ended("naive_cnn", 900.0, stage="profile"),
    ]
    (row,) = plan_table(events, []).to_dicts()
    assert (row["model"], row["predicted_mb"], row["measured_mb"]) == ("naive_cnn", 500.0, 510.0)


def test_on_a_gpu_the_allocators_peak_is_what_counts() -> None:
    events = [planned("r2plus1d", 500), ended("r2plus1d/fold_1", 3000.0)]
    lines = [{"model": "r2plus1d", "max_allocated_mb": mb} for mb in (300.0, 490.0, None)]
    (row,) = plan_table(events, lines).to_dicts()
    assert row["measured_mb"] == 490.0


def test_a_plan_whose_model_was_not_trained_yet_has_no_measurement() -> None:
    (row,) = plan_table([planned("naive_cnn", 500)], []).to_dicts()
    assert row["measured_mb"] is None


def test_the_report_says_by_how_much_a_prediction_was_off(content: ReportContent) -> None:
    (row,) = [
        line
        for line in render_markdown(content).splitlines()
        if line.startswith("| r2plus1d | plain")
    ]
    assert [cell.strip() for cell in row.split("|")[5:8]] == ["1,001", "980", r"\+2.1 %"]

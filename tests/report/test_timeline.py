import re

import numpy as np
import polars as pl

from reelfit.report import ReportContent
from reelfit.report.content import MEMORY
from reelfit.report.timeline import memory_timeline


def log_of(
    seconds: np.ndarray, resident_mb: np.ndarray, *, budget_mb: float | None
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "seconds": seconds,
            "stage": "train",
            "unit": "naive_cnn/fold_1",
            "host_rss_mb": resident_mb,
            "host_peak_mb": np.maximum.accumulate(resident_mb),
            "budget_mb": budget_mb,
        },
        schema=MEMORY,
    )


def test_every_stage_the_budget_and_the_highest_peak_are_named(content: ReportContent):
    drawing = memory_timeline(content.memory)
    assert drawing is not None
    for stage in ("index", "split", "clips", "features", "train", "evaluate"):
        assert f">{stage}<" in drawing.svg
    assert ">budget 1,536<" in drawing.svg
    assert ">1,090<" in drawing.svg
    assert "22 processes" in drawing.note


def test_a_hundred_thousand_lines_are_thinned_and_the_peak_stays(content: ReportContent):
    seconds = np.arange(100_000) / 10
    resident_mb = 500 + 20 * np.sin(seconds)
    resident_mb[31_417] = 900.0
    drawing = memory_timeline(log_of(seconds, resident_mb, budget_mb=1024.0))
    assert drawing is not None
    assert len(drawing.svg) < 250_000
    assert "the highest peak is 900 MiB" in drawing.svg
    lines = re.findall(r' d="(M [^"-]*)"', drawing.svg)  # an area's heights are negative
    line = max(lines, key=len)
    heights = np.array(re.findall(r"[ML] [\d.]+ ([\d.]+)", line), dtype=float)
    assert np.sum(heights < np.median(heights) - 40) >= 1


def test_the_time_in_which_nothing_ran_is_left_out_and_told(content: ReportContent):
    seconds = np.concatenate([np.arange(30.0), 86_400 + np.arange(30.0)])
    drawing = memory_timeline(log_of(seconds, np.full(60, 500.0), budget_mb=None))
    assert drawing is not None
    assert "Memory over 58.0 s" in drawing.svg
    assert "23 h 59 min" in drawing.note
    assert "No budget was set." in drawing.note


def test_a_budget_far_above_is_told_not_drawn(content: ReportContent):
    memory = log_of(np.arange(30.0), np.full(30, 100.0), budget_mb=65_536.0)
    drawing = memory_timeline(memory)
    assert drawing is not None
    assert ">budget" not in drawing.svg
    assert "is 655 times the highest peak" in drawing.note


def test_one_line_and_no_line_are_no_trouble(content: ReportContent):
    one = log_of(np.array([0.0]), np.array([80.0]), budget_mb=None)
    assert memory_timeline(one) is not None
    assert memory_timeline(one.clear()) is None


def test_thousands_of_processes_are_drawn_by_stage(content: ReportContent):
    seconds = np.arange(3000.0)
    memory = log_of(seconds, np.full(3000, 300.0), budget_mb=512.0).with_columns(
        unit=pl.Series([f"slice_{number}" for number in range(3000)])
    )
    drawing = memory_timeline(memory)
    assert drawing is not None
    assert len(drawing.svg) < 250_000
    assert "the highest of 3,000 processes" in drawing.note

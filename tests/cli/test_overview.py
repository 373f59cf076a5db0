import polars as pl
import pytest

from reelfit.cli.display import print_table
from reelfit.cli.overview import retrieving_models
from reelfit.data.retrieval_tables import RETRIEVAL_SUMMARY
from reelfit.data.tables import check_table


@pytest.fixture
def summary() -> pl.DataFrame:
    """Two models; of the second a bound is missing."""
    rows = [
        (model, direction, metric, value, None if model == "b" else value - 0.125, value + 0.125)
        for model in ("a", "b")
        for direction, first in (("video_to_text", 0.5), ("text_to_video", 0.375))
        for metric, value in (("recall@1", first), ("median_rank", 2.5), ("mrr", 0.6))
    ]
    names = ["model", "direction", "metric", "value", "low", "high"]
    nothing = pl.lit(None, pl.Float64)
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        mean=nothing, standard_deviation=nothing, chance=pl.lit(0.1)
    )
    return check_table(frame, RETRIEVAL_SUMMARY, "retrieval_summary")


def test_a_model_that_retrieves_has_a_row_for_each_direction(summary: pl.DataFrame):
    first, second, *others = retrieving_models(summary)
    assert first == {
        "model": "a",
        "direction": "video_to_text",
        "recall@1": 0.5,
        "recall@1_low": 0.375,
        "recall@1_high": 0.625,
        "median_rank": 2.5,
    }
    assert second == first | {
        "direction": "text_to_video",
        "recall@1": 0.375,
        "recall@1_low": 0.25,
        "recall@1_high": 0.5,
    }
    assert [(row["model"], row["recall@1_low"]) for row in others] == [("b", None)] * 2


def test_a_narrow_terminal_shows_the_rows_whole(
    summary: pl.DataFrame, capsys: pytest.CaptureFixture[str]
):
    print_table(retrieving_models(summary))
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in lines[1:]] == [6] * 4
    assert lines[0].split()[:2] == ["model", "direction"]
    assert lines[1].split() == ["a", "video_to_text", "0.500", "0.375", "0.625", "2.500"]
    assert lines[4].split() == ["b", "text_to_video", "0.375", "-", "0.500", "2.500"]
    assert max(len(line.rstrip()) for line in lines) <= 80

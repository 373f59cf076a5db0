import polars as pl
import pytest

from reelfit.data.tables import FOLDS, features_schema, read_table, write_table
from reelfit.errors import TableError


def folds(**changes):
    columns = {
        "video_id": ["a" * 32, "b" * 32],
        "path": ["a.mp4", "b.mp4"],
        "label": ["real", "fake"],
        "target": pl.Series([0, 1], dtype=pl.Int32),
        "group": ["a", "b"],
        "fold": pl.Series([1, 2], dtype=pl.Int32),
    }
    return pl.DataFrame(columns | changes)


@pytest.mark.parametrize("name", ["folds.parquet", "folds.feather"])
def test_a_table_comes_back_as_it_was_written(tmp_path, name):
    write_table(folds(), tmp_path / name, FOLDS)
    assert read_table(tmp_path / name, FOLDS).equals(folds())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fold": pl.Series([1, -1], dtype=pl.Int32)}, "column fold, row 2"),
        ({"video_id": ["a" * 32, "b"]}, "column video_id, row 2"),
        ({"video_id": ["a" * 32, "a" * 32]}, "column video_id"),
        ({"fold": ["1", "2"]}, "column fold"),
        ({"extra": [1, 2]}, "column extra"),
    ],
)
def test_a_broken_rule_is_named_with_its_column_and_row_and_nothing_is_written(
    tmp_path, change, said
):
    with pytest.raises(TableError, match=said):
        write_table(folds(**change), tmp_path / "folds.parquet", FOLDS)
    assert list(tmp_path.iterdir()) == []


def test_a_table_changed_behind_our_back_is_refused_when_read(tmp_path):
    folds().drop("group").write_parquet(tmp_path / "folds.parquet")
    with pytest.raises(TableError, match="group"):
        read_table(tmp_path / "folds.parquet", FOLDS)


def test_a_feature_that_is_not_finite_is_named(tmp_path):
    frame = pl.DataFrame(
        {
            "video_id": ["a" * 32, "b" * 32],
            "noise_mean": [0.5, float("nan")],
        }
    )
    with pytest.raises(TableError, match="column noise_mean, row 2"):
        write_table(frame, tmp_path / "features.parquet", features_schema(["noise_mean"]))

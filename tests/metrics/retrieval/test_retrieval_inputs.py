"""What retrieval's metrics take and refuse, and what comes back beside the ranks."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import reelfit
from own_process import printed_by
from reelfit.errors import FeatureError
from reelfit.metrics.retrieval import number_texts
from reelfit.metrics.retrieval.device_scores import DeviceScores

DIRECTIONS = ("video_to_text", "text_to_video")


def made(videos: int = 60, texts: int = 25, width: int = 16) -> tuple[Any, Any, list[int]]:
    draw = np.random.default_rng(7)
    text = draw.standard_normal((texts, width))
    targets = draw.integers(texts, size=videos).tolist()
    video = 0.5 * text[targets] + draw.standard_normal((videos, width))
    return video.astype(np.float32), text.astype(np.float32), targets


def same(one: reelfit.RetrievalMetrics, other: reelfit.RetrievalMetrics) -> bool:
    return all(one.queries[way].equals(other.queries[way]) for way in DIRECTIONS)


def test_tensors_arrays_and_files_have_the_same_ranks(tmp_path: Path) -> None:
    video, text, targets = made()
    plain = reelfit.retrieval_metrics(video, text, targets)
    np.save(tmp_path / "video.npy", video)
    np.save(tmp_path / "text.npy", np.asfortranarray(text))
    mapped = np.load(tmp_path / "video.npy", mmap_mode="r")
    for one, other in (
        (torch.from_numpy(video).requires_grad_(), torch.from_numpy(text)),
        (mapped, text[:, ::-1][:, ::-1]),
        (tmp_path / "video.npy", str(tmp_path / "text.npy")),
        (video.astype(np.float64), text.astype(">f4")),
    ):
        assert same(plain, reelfit.retrieval_metrics(one, other, torch.tensor(targets)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_as_what_it_stands_for(dtype: torch.dtype) -> None:
    video, text, targets = made()
    half = torch.from_numpy(video).to(dtype), torch.from_numpy(text).to(dtype)
    found = reelfit.retrieval_metrics(*half, targets, exact=True)
    assert same(
        found, reelfit.retrieval_metrics(*(one.float() for one in half), targets, exact=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_device_has_the_ranks_of_the_processor(
    dtype: torch.dtype, normalize: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code as on a GPU; only that the device is a processor."""
    video, text, targets = made(300, 80)
    features = torch.from_numpy(video).to(dtype), torch.from_numpy(text).to(dtype)
    how = {"exact": True, "normalize": normalize, "top": 3}
    expected = reelfit.retrieval_metrics(*features, targets, **how)
    monkeypatch.setattr(
        "reelfit.metrics.retrieval.ProcessorScores",
        lambda *given: DeviceScores(*given[:3], torch.device("cpu")),
    )
    found = reelfit.retrieval_metrics(*features, targets, **how)
    assert same(found, expected)
    for way in DIRECTIONS:
        assert found.top[way]["match"].equals(expected.top[way]["match"])
    assert found.alignment == pytest.approx(expected.alignment, abs=1e-6)


COMPILED = """
import json, torch
from reelfit.metrics.retrieval.device_scores import reaching
torch.manual_seed(0)
given = torch.randn(40, 70), (torch.rand(40), torch.rand(70)), torch.rand(40), torch.rand(70)
compiled = torch.compile(reaching, backend="aot_eager", dynamic=True)
print(json.dumps(torch.equal(compiled(*given), reaching(*given))))
"""


def test_what_is_one_kernel_on_a_gpu_finds_the_same_compiled() -> None:
    assert printed_by(COMPILED)


def test_texts_are_numbered_as_they_are_first_seen() -> None:
    assert number_texts(["b", "a", "b"])[0] == ["b", "a"]
    assert number_texts(["b", "a", "b"])[1].tolist() == [0, 1, 0]
    video, text, _ = made(4, 3)
    found = reelfit.retrieval_metrics(video, text, ["b", ["a", "b"], "c", "b"])
    assert found.texts == ["b", "a", "c"]
    assert found.pairs.rows() == [(0, 0), (1, 0), (1, 1), (2, 2), (3, 0)]
    each = text[[0, 1, 0, 2, 0]]  # a row for each text given
    again = reelfit.retrieval_metrics(video, each, ["b", ["a", "b"], "c", "b"])
    assert same(found, again)


def test_videos_of_one_text_are_never_each_others_wrong_ones() -> None:
    video = np.array([[1, 0], [1, 0.1], [1, 0.2]], np.float32)
    found = reelfit.retrieval_metrics(video, video[:1], [0, 0, 0])
    for way in DIRECTIONS:
        assert found[way]["map"] == found[way]["recall@1"] == found[way]["ndcg@5"] == 1.0


def test_queries_without_right_ones_are_in_no_mean() -> None:
    video, text, _ = made(5, 4)
    found = reelfit.retrieval_metrics(video, text, [[0], [], [1], [0], []])
    assert found.without_right == {"video_to_text": 2, "text_to_video": 2}
    queries = found.queries["video_to_text"]
    assert queries["rank"].is_null().to_list() == [False, True, False, False, True]
    assert queries["recall@1"].null_count() == 2
    ranks = queries["rank"].drop_nulls()
    assert found["video_to_text"]["mean_rank"] == pytest.approx(ranks.mean())


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(broken: float) -> None:
    video, text, targets = made()
    text = text.copy()
    text[[11, 3, 20], 5] = broken
    with pytest.raises(FeatureError, match="row 3 of the text features has NaN or infinite"):
        reelfit.retrieval_metrics(video, text, targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": [0, 1]}, "60 videos, but 2 targets"),
        ({"targets": [25] * 60}, "video 0 has the target 25.*rows 0 to 24"),
        ({"targets": [0] * 59 + [-1]}, "video 59 has the target -1"),
        ({"targets": [[]] * 60}, "no video has a right text"),
        ({"targets": [0.5] * 60}, "numbers of text rows or texts"),
        ({"targets": ["a"] * 60}, "25 rows.*60 texts, 1 of them unique"),
        ({"text": np.zeros((25, 3), np.float32)}, "16 dimensions, text features 3"),
        ({"text": np.zeros((25, 16), np.int64)}, "floating point"),
        ({"text": np.zeros(25, np.float32)}, "shape"),
        ({"text": "nowhere.npy"}, "cannot be read from nowhere.npy"),
        ({"memory": "10KiB"}, "need .* beside the features; they were given 10 KiB"),
        ({"text": np.full((25, 16), 1e37, np.float32), "normalize": False}, "exceed"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_its_place(
    change: dict[str, Any], message: str
) -> None:
    video, text, targets = made()
    given = {"video": video, "text": text, "targets": targets} | change
    with pytest.raises(FeatureError, match=message):
        reelfit.retrieval_metrics(**given)


@pytest.mark.parametrize("change", [{"ks": (0,)}, {"top": -1}, {"groups": ["one"]}])
def test_a_call_that_makes_no_sense_is_a_bug_of_the_caller(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="groups one for each video"):
        reelfit.retrieval_metrics(*made(), **change)


@pytest.mark.parametrize("signal_videos", [60, 1500])
def test_the_best_matches_are_those_of_the_whole_matrix(
    signal_videos: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reelfit.metrics.retrieval.SMALL", 0.0)  # several threads
    video, text, targets = made(signal_videos, 90)
    found = reelfit.retrieval_metrics(video, text, targets, top=4)
    one, other = (each / np.linalg.norm(each, axis=1)[:, None] for each in (video, text))
    for way, scores in (("video_to_text", one @ other.T), ("text_to_video", other @ one.T)):
        table = found.top[way]
        best = np.argsort(-scores, axis=1)[:, :4]
        assert np.array_equal(table["match"].to_numpy().reshape(-1, 4), best)
        assert table["place"].to_list() == [1, 2, 3, 4] * len(scores)
        np.testing.assert_allclose(
            table["score"].to_numpy(), np.take_along_axis(scores, best, 1).ravel(), atol=1e-6
        )
        rank = found.queries[way].filter(pl.col("rank") == 1.0)["query"]
        first = table.filter((pl.col("place") == 1) & pl.col("is_right"))["query"]
        assert first.equals(rank)
    found.top["video_to_text"].write_parquet(tmp_path / "top.parquet")
    assert pl.read_parquet(tmp_path / "top.parquet").equals(found.top["video_to_text"])


def test_of_fewer_texts_than_places_all_are_the_best() -> None:
    found = reelfit.retrieval_metrics(*made(10, 3), top=5)
    assert found.top["video_to_text"].height == 30


def test_norms_alignment_and_uniformity_are_what_their_definitions_say() -> None:
    video, text, targets = made()
    found = reelfit.retrieval_metrics(video, text, targets)
    lengths = np.linalg.norm(video, axis=1)
    assert found.norms["video"] == pytest.approx(
        {"mean": lengths.mean(), "min": lengths.min(), "max": lengths.max()}
    )
    one, other = (each / np.linalg.norm(each, axis=1)[:, None] for each in (video, text))
    assert found.alignment == pytest.approx((one * other[targets]).sum(1).mean(), abs=1e-6)
    unscaled = reelfit.retrieval_metrics(video, text, targets, normalize=False)
    assert unscaled.alignment == pytest.approx(found.alignment, abs=1e-6)
    apart = np.square(one[:, None] - one[None]).sum(2)[~np.eye(len(one), dtype=bool)]
    assert found.uniformity["video"] == pytest.approx(np.log(np.exp(-2 * apart).mean()), abs=1e-6)


def test_the_example_of_the_documentation_runs() -> None:
    page = (Path(__file__).parents[3] / "docs/retrieval-metrics.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names = dict(zip(("video", "text", "targets"), made(), strict=True))
    exec(code, names)
    for measure in names["result"]["video_to_text"]:
        assert measure in page or measure.startswith("recall@")

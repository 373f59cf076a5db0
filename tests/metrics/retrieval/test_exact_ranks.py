"""Exact ranks are those of the whole matrix in double precision, whatever the case."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_reference import whole_matrix

import reelfit
from reelfit.metrics.retrieval import counting
from reelfit.metrics.retrieval.blocks import Blocks

DIRECTIONS = ("video_to_text", "text_to_video")
KS = (1, 5, 10, 50)


def assert_equal(
    video: np.ndarray, text: np.ndarray, right: list[list[int]], *, ties: str = "mean", **how: Any
) -> reelfit.RetrievalMetrics:
    normalize = how.get("normalize", True)
    expected = whole_matrix(video, text, right, normalize=normalize, ties=ties)
    found = reelfit.retrieval_metrics(
        video,
        text,
        right,
        exact=True,
        ties=ties,
        ks=KS,
        **how,  # type: ignore[arg-type]
    )
    for direction in DIRECTIONS:
        some = [query for query in expected[direction] if query]
        rows = found.queries[direction]
        is_some = [query is not None for query in expected[direction]]
        assert rows["rank"].is_not_null().to_list() == is_some
        rows = rows.filter(is_some)
        for name in ("rank", "average_precision", "ndcg@5", "ndcg@10"):
            wanted = [query[name] for query in some]
            np.testing.assert_allclose(rows[name].to_numpy(), wanted, rtol=1e-12, err_msg=name)
        means = found[direction]
        ranks = np.array([query["rank"] for query in some])
        for k in KS:
            assert means[f"recall@{k}"] == pytest.approx((ranks <= k).mean())
        assert means["median_rank"] == np.median(ranks)
        assert means["mean_rank"] == pytest.approx(ranks.mean())
        assert means["mrr"] == pytest.approx((1 / ranks).mean())
        assert means["map"] == pytest.approx(np.mean([q["average_precision"] for q in some]))
    return found


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Few or many rows and dimensions; whole numbers that tie, copies, near copies, zeros."""
    draw = np.random.default_rng(seed)
    videos, texts = (int(draw.choice([1, 2, 7, 40])) for _ in range(2))
    width = int(draw.choice([1, 2, 3, 16, 100]))
    kind = draw.integers(4)
    video, text = (draw.standard_normal((rows, width)) for rows in (videos, texts))
    if kind == 0:
        video, text = video.round(), text.round()
    elif kind == 1:  # copies, of rows and of one in the other
        video = video[draw.integers(videos, size=videos)]
        text = text[draw.integers(texts, size=texts)]
        text[0] = video[0]
    elif kind == 2:  # nearer than single precision tells apart
        video = video[:1] + 1e-4 * video
        text = text[:1] + 1e-4 * text
    most = int(draw.choice([1, 2, 25]))
    right = [draw.integers(texts, size=draw.integers(most + 1)).tolist() for _ in range(videos)]
    right[-1] = right[-1] or [0]
    return video.astype(np.float32), text.astype(np.float32), right


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("ties", "cases"), [("mean", 400), ("optimistic", 100), ("pessimistic", 100)]
)
def test_every_query_of_many_random_cases_has_the_rank_of_the_whole_matrix(
    ties: str, cases: int, normalize: bool
) -> None:
    """Some twenty thousand queries in all."""
    for seed in range(cases):
        assert_equal(*random_case(seed), ties=ties, normalize=normalize)


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4)),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_small_whole_numbers_and_any_right_texts(
    shape: tuple[int, int, int], data: st.DataObject
) -> None:
    videos, texts, width = shape
    numbers = st.lists(
        st.lists(st.integers(-2, 2), min_size=width, max_size=width),
        min_size=videos + texts,
        max_size=videos + texts,
    )
    rows = np.array(data.draw(numbers), dtype=np.float32)
    number = st.lists(st.integers(0, texts - 1), max_size=texts)
    right = data.draw(st.lists(number, min_size=videos, max_size=videos))
    right[0] = right[0] or [texts - 1]
    assert_equal(rows[:videos], rows[videos:], right, normalize=data.draw(st.booleans()))


def clustered(
    videos: int, texts: int, width: int, *, signal: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    draw = np.random.default_rng(seed)
    text = draw.standard_normal((texts, width))
    right = [[int(number)] for number in draw.integers(texts, size=videos)]
    video = signal * text[[one[0] for one in right]] + draw.standard_normal((videos, width))
    video[videos // 2] = video[0]
    return video.astype(np.float32), text.astype(np.float32), right


@pytest.mark.parametrize("width", [1, 2, 31, 512, 2048])
@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_several_blocks_and_threads_at_every_width(width: int, signal: float) -> None:
    """Without a signal most scores stand out; with it almost none."""
    assert_equal(*clustered(700, 130, width, signal=signal), memory="30MiB")


@pytest.mark.parametrize("signal", [0.0, 0.5])
def test_a_text_of_a_hundred_videos_beside_texts_of_one(signal: float) -> None:
    video, text, right = clustered(400, 60, 24, signal=signal)
    for row in range(100):
        right[row] = [3, row % 60]
    assert_equal(video, text, right)


@pytest.mark.parametrize("spread", [0.0, 1e-8, 3e-5, 1e-3])
def test_features_that_have_fallen_together(spread: float) -> None:
    """All scores are near to all others: whole blocks are settled in double precision."""
    video, text, right = clustered(300, 80, 64, signal=0.2)
    found = assert_equal(1 + spread * video, 1 + spread * text, right)
    assert found.near_ties > 0


def test_both_ways_to_count_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = clustered(500, 90, 20, signal=0.2)
    found = []
    for share in (0.0, 2.0):  # always densely; always one by one
        monkeypatch.setattr(counting, "DENSE", share)
        for exact in (False, True):
            result = reelfit.retrieval_metrics(*case, exact=exact)
            found.append([result.queries[direction] for direction in DIRECTIONS])
            found[-1].append(result.near_ties)
    for plain, other in zip(found[:2], found[2:], strict=True):
        assert plain[0].equals(other[0])
        assert plain[1].equals(other[1])
        assert plain[2] == other[2]


def test_more_texts_asked_for_than_there_are_are_all_found() -> None:
    video, text, right = clustered(20, 4, 8, signal=0.0)
    found = reelfit.retrieval_metrics(video, text, right, ks=(4, 50))
    assert found["video_to_text"]["recall@4"] == found["video_to_text"]["recall@50"] == 1.0


def test_one_video_and_one_text_are_each_the_others_first() -> None:
    one = np.ones((1, 3), np.float32)
    found = reelfit.retrieval_metrics(one, one, [0])
    for direction in DIRECTIONS:
        assert found[direction]["recall@1"] == found[direction]["map"] == 1.0
    assert found.alignment == pytest.approx(1.0)
    assert found.uniformity == {"video": None, "text": None}


@pytest.mark.parametrize("shape", [(64, 32), (17, 5), (512, 1024)])
def test_ranks_are_the_same_for_every_size_of_block(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without settling, too, where no two scores are near."""
    case = clustered(600, 300, 48, signal=0.2)
    whole = reelfit.retrieval_metrics(*case)
    monkeypatch.setattr(
        "reelfit.metrics.retrieval.choose_blocks",
        lambda *_args, **_how: Blocks(*shape, panel=2 * shape[1] + 1, threads=2),
    )
    monkeypatch.setattr("reelfit.metrics.retrieval.SMALL", 0.0)
    cut = reelfit.retrieval_metrics(*case)
    assert whole.near_ties == cut.near_ties
    for direction in DIRECTIONS:
        assert whole.queries[direction].equals(cut.queries[direction])


def test_a_copy_of_the_right_text_ties_with_it_without_settling() -> None:
    video, text, right = clustered(2000, 500, 96, signal=1.5)
    text = np.concatenate([text, text])
    found = reelfit.retrieval_metrics(video, text, right)
    ranks = found.queries["video_to_text"]["rank"].to_numpy()
    assert (ranks % 1 == 0.5).all()
    assert np.median(ranks) == 1.5
    assert found.near_ties >= 2000


def test_the_settings_of_torch_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads(), torch.backends.mkldnn.matmul.fp32_precision
    monkeypatch.setattr("reelfit.metrics.retrieval.rounding.WORTH_A_PROBE", 0.0)
    assert_equal(*clustered(60, 30, 8, signal=0.2))
    with pytest.raises(reelfit.errors.FeatureError):
        reelfit.retrieval_metrics(*clustered(60, 30, 8, signal=0.2), memory="1KiB")
    reelfit.retrieval_metrics(*clustered(60, 30, 8, signal=0.2))
    assert (torch.get_num_threads(), torch.backends.mkldnn.matmul.fp32_precision) == before

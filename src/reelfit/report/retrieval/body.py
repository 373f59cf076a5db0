"""The part of a report that tells how videos and texts found each other."""

from typing import TYPE_CHECKING, Any

import polars as pl

from reelfit.report.body import Body, Fact, Said, Section, Words
from reelfit.report.palette import line_of
from reelfit.report.pictures import strip_picture
from reelfit.report.retrieval.content import (
    Answer,
    CaptionSample,
    ItemVideo,
    Retrieval,
    RetrievalContent,
)
from reelfit.report.retrieval.ranking import FIRST, best_folds, ranked, rows_of
from reelfit.report.retrieval.tables import (
    captions_table,
    direction_tables,
    each_fold_table,
    embeddings_table,
    items_table,
    ranks_tables,
    spread_of_folds,
)
from reelfit.report.retrieval.verdict import retrieval_verdict
from reelfit.report.searching import search_tables
from reelfit.report.wording import interval, number

if TYPE_CHECKING:
    from reelfit.report.drawing import Drawing

MOST_VIDEOS = 2
"""Of an item, with their frames."""
_NEAR_LEFT, _NEAR_RIGHT = 0.12, 0.75
"""Where the words at chance would touch those at an end of the axis."""


def retrieval_body(content: RetrievalContent) -> Body:
    """What the page of a run that retrieves has of its own."""
    chance = _chance(content)
    captions: list[Section] = [("captions", "Captions")] if _has_captions(content) else []
    return Body(
        template="retrieval.html",
        verdict=retrieval_verdict(content),
        facts=_facts(content),
        ranking=_ranking(content),
        chance_place="" if chance is None else f"{100 * chance:.2f}%",
        ticks=_ticks(chance),
        found=[("models", "Models"), ("recall", "Recall and ranks")],
        shown=[*captions, ("best", "Best retrievals"), ("worst", "Worst retrievals")],
        learning=_learned(content),
        folds=items_table(content),
        labelled=False,
        values=_values(content),
    )


def retrieval_words(content: RetrievalContent) -> Words:
    """What the text of a run that retrieves has of its own."""
    models = [*direction_tables(content), embeddings_table(content), spread_of_folds(content)]
    sections: list[Said] = [
        ("Models", "", [*models, each_fold_table(content), *search_tables(content.search)]),
        ("Ranks", "", ranks_tables(content)),
    ]
    if _has_captions(content):
        sections.append(("Captions", "", [captions_table(content)]))
    return Words(retrieval_verdict(content), sections, items_table(content), labelled=False)


def _has_captions(content: RetrievalContent) -> bool:
    return content.caption_summary is not None


def _values(content: RetrievalContent) -> dict[str, Any]:
    return {
        "models": direction_tables(content),
        "embeddings": embeddings_table(content),
        "spread": spread_of_folds(content),
        "every_fold": each_fold_table(content),
        "searched": search_tables(content.search),
        "recall": _recall(content),
        "ranks": ranks_tables(content),
        "captions": captions_table(content),
        "samples": [_sample(sample) for sample in content.samples],
        "retrieved": {
            "best": [_retrieval(each) for each in content.best],
            "worst": [_retrieval(each) for each in content.worst],
        },
    }


def _recall(content: RetrievalContent) -> "list[Drawing]":
    from reelfit.report.retrieval.curves import recall_curves  # brings matplotlib

    return recall_curves(content)


def _learned(content: RetrievalContent) -> "dict[str, list[Drawing]]":
    from reelfit.report.retrieval.curves import learned  # brings matplotlib

    return learned(content)


def _facts(content: RetrievalContent) -> list[Fact]:
    texts = content.queries.filter(pl.col("direction") == "text_to_video")["query"].n_unique()
    items = content.folds["label"].n_unique()
    return [("Items", number(items, 0), ""), ("Texts", number(texts, 0), "that were ranked")]


def _chance(content: RetrievalContent) -> float | None:
    """R@1 of a random order from video to text."""
    rows = rows_of(content)
    found = [rows.get((name, "video_to_text", FIRST), {}).get("chance") for name in ranked(content)]
    return next((chance for chance in found if chance is not None), None)


def _ticks(chance: float | None) -> list[tuple[str, str]]:
    if chance is None:
        return [("0", "0"), ("50%", "0.5"), ("100%", "1")]
    own = (f"{100 * chance:.2f}%", f"{number(chance)}, chance")
    if chance < _NEAR_LEFT:
        return [own, ("50%", "0.5"), ("100%", "1")]
    if chance > _NEAR_RIGHT:
        return [("0", "0"), own]
    return [("0", "0"), own, ("100%", "1")]


def _ranking(content: RetrievalContent) -> list[dict[str, Any]]:
    """Each model with its R@1 from video to text, its line in the figures and its words."""
    rows, folds = rows_of(content), best_folds(content)
    kept = {(model, fold): epoch for model, fold, epoch in content.kept.iter_rows()}
    ranking = []
    for rank, model in enumerate(ranked(content)):
        row = rows.get((model, "video_to_text", FIRST), {})
        value, low, high = (row.get(name) for name in ("value", "low", "high"))
        epoch = kept.get((model, folds.get(model, 0)))
        after = "" if epoch is None else f", kept after epoch {epoch}"
        ranking.append(
            {
                "model": model,
                "line": line_of(rank).css,
                "value": value,
                "text": number(value),
                "low": low,
                "high": high,
                "interval": interval(low, high),
                "learned": f"Best fold: {folds[model]}{after}." if model in folds else "",
            }
        )
    return ranking


def _strips(videos: list[ItemVideo]) -> list[dict[str, Any]]:
    return [
        {"path": video.path, "picture": strip_picture(video.frames)}
        for video in videos[:MOST_VIDEOS]
    ]


def _retrieval(retrieval: Retrieval) -> dict[str, Any]:
    rank = number(retrieval.rank, 0 if retrieval.rank.is_integer() else 1)
    return {
        "model": retrieval.model,
        "item": retrieval.item,
        "videos": _strips(retrieval.videos),
        "more": len(retrieval.videos) - MOST_VIDEOS,
        "texts": retrieval.texts,
        "rank": f"{rank} of {number(retrieval.num_answers, 0)}",
        "answers": [_answer(answer) for answer in retrieval.answers],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {"text": answer.text, "score": number(answer.score), "right": answer.right}


def _sample(sample: CaptionSample) -> dict[str, Any]:
    return {
        "model": sample.model,
        "item": sample.item,
        "videos": _strips(sample.videos),
        "more": len(sample.videos) - MOST_VIDEOS,
        "references": sample.references,
        "generated": sample.generated,
    }

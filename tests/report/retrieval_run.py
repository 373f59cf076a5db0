"""A run that retrieves as the report gets it: 48 videos of 36 items, 18 texts, three folds."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from reelfit.data import retrieval_tables as schemas
from reelfit.data.tables import FOLDS, check_table
from reelfit.report import ReportContent, RetrievalContent
from reelfit.report.content import CURVES
from reelfit.report.retrieval import KEPT, best_and_worst, caption_samples

NUM_GROUPS, NUM_TEXTS, NUM_FOLDS, NUM_EPOCHS = 24, 18, 3, 10
SKILLS = {"r2plus1d": 2.6, "naive_cnn": 1.2, "cnn_gru": 1.9}
METRICS = ("recall@1", "recall@5", "recall@10", "median_rank", "mrr", "map", "ndcg@10")
CAPTION_METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider")
TEXTS = [
    f"a {colour} {shape} moves {way}"
    for colour in ("red", "blue", "green")
    for shape in ("circle", "square")
    for way in ("to the left", "upward slowly", "to the right and then stops")
]
Frame = pl.DataFrame


def shared_folds(video_id: Any, video_path: Any) -> Frame:
    """Groups of two videos, which in every other group are one item; no fold splits a group."""
    rows, items = [], {}
    for number in range(2 * NUM_GROUPS):
        group = number // 2
        item = f"case_{group:02d}" if group % 2 == 0 else f"case_{group:02d}_{number % 2}"
        facts = {"video_id": video_id(number), "path": video_path(number), "label": item}
        facts["target"] = items.setdefault(item, len(items))
        rows.append(facts | {"group": f"source_{group:02d}", "fold": group // 2 % NUM_FOLDS + 1})
    schema = {"target": pl.Int32, "fold": pl.Int32}
    return check_table(pl.DataFrame(rows, schema_overrides=schema), FOLDS, "folds")


def texts_of(folds: Frame) -> Frame:
    """Each item's text, which others have too; every fifth item has a second one."""
    items = folds["label"].unique(maintain_order=True).to_list()
    pairs = [(item, TEXTS[place % NUM_TEXTS]) for place, item in enumerate(items)]
    pairs += [(item, TEXTS[(place + 7) % NUM_TEXTS]) for place, item in enumerate(items[::5])]
    return pl.DataFrame(pairs, schema=["item", "text"], orient="row").unique(maintain_order=True)


def ranked_queries(model: str, skill: float, folds: Frame, texts: Frame) -> tuple[Frame, Frame]:
    """The queries of both directions and their highest answers, by random scores of this skill."""
    generator = np.random.default_rng(len(model))
    groups = dict(folds.select("label", "group").iter_rows())
    queries, top = [], []
    for (fold,), part in folds.sort("fold").group_by("fold", maintain_order=True):
        items = part["label"].unique(maintain_order=True).to_list()
        here = texts.filter(pl.col("item").is_in(items))
        names = here["text"].unique(maintain_order=True).to_list()
        right = np.zeros((len(items), len(names)), bool)
        for item, text in here.iter_rows():
            right[items.index(item), names.index(text)] = True
        scores = np.tanh((generator.normal(0, 1, right.shape) + skill * right) / 4)
        for direction, found, of, asked, answers in (
            ("video_to_text", scores, right, items, names),
            ("text_to_video", scores.T, right.T, names, items),
        ):
            for place, query in enumerate(asked):
                order = np.argsort(-found[place])
                rank = int(np.flatnonzero(of[place][order])[0]) + 1
                group = groups[query if direction == "video_to_text" else answers[order[0]]]
                facts = [model, fold, direction, query]
                queries.append((*facts, group, float(rank), int(of[place].sum()), len(answers)))
                top += [
                    (*facts, at + 1, answers[a], float(found[place][a]), bool(of[place][a]))
                    for at, a in enumerate(order[:10])
                ]
    return made(queries, schemas.RETRIEVAL_QUERIES), made(top, schemas.RETRIEVAL_TOP)


def made(rows: list[tuple[Any, ...]], schema: Any) -> Frame:
    """These rows under a schema of the run's tables, which they keep."""
    types = {name: column.dtype.type for name, column in schema.columns.items()}
    return check_table(pl.DataFrame(rows, schema=types, orient="row"), schema, schema.name)


def measured(queries: Frame) -> dict[str, float]:
    ranks = queries["rank"].to_numpy()
    values = {f"recall@{k}": float((ranks <= k).mean()) for k in (1, 5, 10)}
    values |= {"median_rank": float(np.median(ranks)), "mrr": float((1 / ranks).mean())}
    return values | {"map": values["mrr"] - 0.01, "ndcg@10": float((1 / np.log2(1 + ranks)).mean())}


def fold_results(queries: Frame) -> Frame:
    rows = []
    parts = queries.group_by("model", "fold", "direction", maintain_order=True)
    for (model, fold, direction), part in parts:
        for metric, value in measured(part).items():
            rows.append((model, fold, direction, metric, value, value * 0.8, value))
    return made(rows, schemas.RETRIEVAL_FOLDS)


def summary_of(queries: Frame, results: Frame) -> Frame:
    rows: list[tuple[Any, ...]] = []
    for (model, direction), part in queries.group_by("model", "direction", maintain_order=True):
        chance = float((part["right"] / part["answers"]).mean())  # type: ignore[arg-type]
        for metric, value in measured(part).items():
            of_folds = results.filter(model=model, direction=direction, metric=metric)["value"]
            spread = [of_folds.mean(), of_folds.std() if of_folds.len() > 1 else None]
            bounds = [max(0.0, value - 0.11), min(max(1.0, value), value + 0.08)]
            known = chance if metric == "recall@1" else None
            rows.append((model, direction, metric, value, *bounds, *spread, known))
        if direction == "text_to_video":
            rows.append((model, "both", "alignment", 0.61, None, None, 0.61, 0.02, None))
            rows.append((model, "both", "uniformity", -2.4, None, None, -2.4, None, None))
    return made(rows, schemas.RETRIEVAL_SUMMARY)


def curves_of(models: list[str], folds: list[int]) -> Frame:
    rows: list[tuple[Any, ...]] = []
    for place, model in enumerate(models):
        for fold in folds:
            for epoch in range(1, NUM_EPOCHS + 1):
                done = 1 - np.exp(-epoch / 3) - 0.03 * fold - 0.05 * place
                rows += [
                    (model, fold, epoch, "train", "loss", 3.0 - 2.4 * done),
                    (model, fold, epoch, "validation", "loss", 3.1 - 1.9 * done),
                    (model, fold, epoch, "validation", "video_to_text_recall@1", 0.6 * done),
                    (model, fold, epoch, "validation", "text_to_video_recall@1", 0.5 * done),
                    (model, fold, epoch, "validation", "video_to_text_median_rank", 4.0),
                ]
    return pl.DataFrame(rows, schema=CURVES, orient="row")


def captions_of(models: list[str], folds: Frame, texts: Frame) -> tuple[Frame, Frame]:
    """Of every item a caption that is right, or of another item, and its metrics."""
    rows, means = [], []
    for model in models:
        for place, item in enumerate(folds["label"].unique(maintain_order=True)):
            first = folds.filter(label=item).row(0, named=True)
            references = texts.filter(item=item)["text"].to_list()
            good = place % 3 != 0
            said = references[0] if good else TEXTS[(place * 5) % NUM_TEXTS]
            own = [
                {"metric": metric, "value": 1.0 if good else 0.02 * place}
                for metric in CAPTION_METRICS
            ]
            rows.append((model, first["fold"], item, first["group"], said, references, own))
        for step, metric in enumerate(CAPTION_METRICS):
            value = 0.82 - 0.04 * step - 0.1 * models.index(model)
            means.append((model, metric, value, value - 0.05, value + 0.04))
    types = list(schemas.CAPTIONS.columns)
    kinds = {"fold": pl.Int32, "references": pl.List(pl.String)}
    frame = pl.DataFrame(rows, schema=types, orient="row", schema_overrides=kinds)
    return check_table(frame, schemas.CAPTIONS, "captions"), made(means, schemas.CAPTION_SUMMARY)


def make_retrieval(
    of: ReportContent, folds: Frame, frames_of: Any, *, skills: dict[str, float] = SKILLS
) -> RetrievalContent:
    """The content of such a run; what every run has is that of a run that classifies."""
    models, texts = list(skills), texts_of(folds)
    parts = [ranked_queries(model, skill, folds, texts) for model, skill in skills.items()]
    queries, top = (pl.concat(both) for both in zip(*parts, strict=True))
    results = fold_results(queries)
    captions, caption_summary = captions_of(models[:2], folds, texts)
    numbers = sorted(set(folds["fold"]))
    kept = [(model, fold, 5 + fold) for model in models for fold in numbers]
    paths = dict(folds.group_by("label").agg("path").iter_rows())

    def videos_of(item: str) -> list[tuple[str, np.ndarray]]:
        return [(path, frames_of(len(path) + int(item[5:7]))) for path in paths[item]]

    shown = {"queries": queries, "top": top, "texts": texts, "frames_of": videos_of}
    best, worst = best_and_worst(models[0], **shown)
    samples = caption_samples(models[0], captions=captions, metric="cider", frames_of=videos_of)
    shared = {
        name: getattr(of, name)
        for name in (
            *("run_id", "environment", "rejected", "duplicates", "look_alikes", "memory"),
            "search",
        )
    }
    return RetrievalContent(
        **shared,
        title="Moving shapes and what is said of them",
        study_yaml="task: retrieve\nvideos: {table: videos.csv, path: path, text: caption}\n",
        folds=folds,
        curves=curves_of(models, numbers),
        stages=of.stages,
        plans=of.plans,
        shrunk=[],
        decisions=of.decisions,
        contact_sheet=[sheet._replace(label=TEXTS[0]) for sheet in of.contact_sheet[:2]],
        elapsed_seconds=804.2,
        summary=summary_of(queries, results),
        results=results,
        queries=queries,
        captions=captions,
        caption_summary=caption_summary,
        kept=pl.DataFrame(kept, schema=KEPT, orient="row"),
        best=best,
        worst=worst,
        samples=samples,
    )


HOSTILE = "<img src=x onerror=alert(21)>"
NAMES = {"r2plus1d": "</svg><script>alert(22)</script>", "naive_cnn": "<b>cnn</b> | `x`"}


def made_hostile(content: RetrievalContent) -> RetrievalContent:
    """Texts and names that would run or break out of their place if anything failed to escape."""
    said = "</li><script>alert(23)</script> [a](javascript:alert(24)) " + "x" * 300

    def renamed(frame: Frame) -> Frame:
        return frame.with_columns(pl.col("model").replace(NAMES))

    def worse(retrieval: Any) -> Any:
        videos = [video._replace(path=HOSTILE) for video in retrieval.videos]
        answers = [answer._replace(text=said) for answer in retrieval.answers]
        return retrieval._replace(item=HOSTILE, videos=videos, texts=[said], answers=answers)

    tables = ("summary", "results", "queries", "captions", "caption_summary", "kept", "curves")
    item = content.samples[0]._replace(item=HOSTILE, references=[said], generated=said)
    return replace(
        content,
        **{name: renamed(getattr(content, name)) for name in tables},
        title="</title><script>alert(25)</script>",
        best=[worse(content.best[0])._replace(model=NAMES["r2plus1d"])],
        worst=[worse(content.worst[0])],
        samples=[item._replace(model=NAMES["r2plus1d"])],
        duplicates=content.duplicates.with_columns(label=pl.lit(HOSTILE)),
        contact_sheet=[content.contact_sheet[0]._replace(label=said)],
    )


def made_bare(content: RetrievalContent, *, chances: bool = False) -> RetrievalContent:
    """Without captions, pictures, curves and intervals; without what chance is where asked."""
    summary = content.summary.with_columns(
        low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64)
    )
    if not chances:
        summary = summary.with_columns(chance=pl.lit(None, pl.Float64))
    return replace(
        content,
        summary=summary,
        captions=None,
        caption_summary=None,
        best=[],
        worst=[],
        samples=[],
        contact_sheet=[],
        curves=content.curves.clear(),
        kept=content.kept.clear(),
        memory=content.memory.clear(),
        search=content.search.clear(),
    )

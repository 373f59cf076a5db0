"""A run as the report gets it: 48 videos of 24 sources, three models, five folds."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from retrieval_run import made_bare, made_hostile, make_retrieval, shared_folds
from sklearn import metrics

from reelfit.data.evaluation_tables import CONTROL_FACTS, PERMUTATIONS, frame_of
from reelfit.data.tables import (
    DUPLICATES,
    FOLDS,
    KFOLD_RESULTS,
    PREDICTIONS,
    REJECTED,
    SUMMARY,
    check_table,
)
from reelfit.metrics import METRICS
from reelfit.metrics.resampling import middle
from reelfit.report import Evaluation, Mistake, ReportContent, RetrievalContent, Sheet, Strip
from reelfit.report.content import CURVES, MEMORY, PLANS, STAGES, LookAlike
from reelfit.stages import judging
from reelfit.stages.comparing import comparison_table, judged

CLASSES = ["real", "tampered"]
FIVE_CLASSES = ["walking", "running", "standing", "sitting_down", "getting up"]
SKILLS = {"handcrafted_logistic": 0.55, "naive_cnn": 0.9, "r2plus1d": 1.5}
HANDCRAFTED = "handcrafted_logistic"
NUM_FOLDS = 5
NUM_EPOCHS = 12
NUM_SOURCES = 24


def video_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def video_path(number: int) -> str:
    return f"videos/source_{number // 2:02d}_{('pristine', 'spliced')[number % 2]}.mp4"


def frames_of(seed: int, *, time: int = 8, side: int = 112) -> np.ndarray:
    """A soft gradient with a disc that moves over it: something that one can see."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    colours = generator.uniform(40, 200, (2, 3))
    base = colours[0] + (colours[1] - colours[0]) * (rows + columns)[..., None] / 2
    shown = []
    for moment in range(time):
        x, y = 0.2 + 0.6 * moment / time, 0.5 + 0.2 * np.sin(moment)
        disc = ((rows - y) ** 2 + (columns - x) ** 2 < 0.02)[..., None]
        picture = np.where(disc, 255 - colours[0], base) + generator.normal(0, 4, base.shape)
        shown.append(np.clip(picture, 0, 255).astype(np.uint8).transpose(2, 0, 1))
    return np.stack(shown)


def folds_table(classes: list[str]) -> pl.DataFrame:
    rows = [
        {
            "video_id": video_id(number),
            "path": video_path(number),
            "label": classes[number % len(classes)],
            "target": number % len(classes),
            "group": f"source_{number // 2:02d}",
            "fold": number // 2 % NUM_FOLDS + 1,
        }
        for number in range(2 * NUM_SOURCES)
    ]
    schema = {"target": pl.Int32, "fold": pl.Int32}
    return check_table(pl.DataFrame(rows, schema_overrides=schema), FOLDS, "folds")


def predictions_table(
    folds: pl.DataFrame, skills: dict[str, float], num_classes: int
) -> pl.DataFrame:
    rows = []
    for place, (model, skill) in enumerate(skills.items()):
        generator = np.random.default_rng(place)
        for video in folds.to_dicts():
            logits = generator.normal(0, 1.1, num_classes)
            logits[video["target"]] += 2 * skill
            probabilities = np.exp(logits) / np.exp(logits).sum()
            rows.append(
                {
                    "model": model,
                    "fold": video["fold"],
                    "video_id": video["video_id"],
                    "group": video["group"],
                    "target": video["target"],
                    "predicted": int(probabilities.argmax()),
                    "probabilities": probabilities.tolist(),
                }
            )
    schema = {"fold": pl.Int32, "target": pl.Int32, "predicted": pl.Int32}
    return check_table(pl.DataFrame(rows, schema_overrides=schema), PREDICTIONS, "predictions")


def scored(predictions: pl.DataFrame) -> dict[str, float]:
    targets = predictions["target"].to_numpy()
    probabilities = np.array(predictions["probabilities"].to_list())
    predicted = probabilities.argmax(axis=1)
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    pairs = [(targets == index, probabilities[:, index]) for index in classes if index in targets]
    averaged = {"average": "binary" if len(classes) == 1 else "macro", "zero_division": 0.0}
    return {
        "accuracy": float(metrics.accuracy_score(targets, predicted)),
        "precision": float(metrics.precision_score(targets, predicted, **averaged)),
        "recall": float(metrics.recall_score(targets, predicted, **averaged)),
        "f1": float(metrics.f1_score(targets, predicted, **averaged)),
        "roc_auc": float(np.mean([metrics.roc_auc_score(*pair) for pair in pairs])),
        "average_precision": float(
            np.mean([metrics.average_precision_score(*pair) for pair in pairs])
        ),
        "equal_error_rate": float(np.mean([np.mean((s > 0.5) != hits) for hits, s in pairs])),
        "brier_score": float(np.mean([np.mean((s - hits) ** 2) for hits, s in pairs])),
    }


def kfold_table(predictions: pl.DataFrame) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for (model,), of_model in predictions.group_by("model", maintain_order=True):
        by_fold = {
            fold: (part.height, scored(part))
            for (fold,), part in of_model.sort("fold").group_by("fold", maintain_order=True)
        }
        best = max(by_fold, key=lambda fold: by_fold[fold][1]["roc_auc"])
        for fold, (size, values) in by_fold.items():
            for metric, value in values.items():
                rows.append(
                    {
                        "model": model,
                        "fold": fold,
                        "num_train": of_model.height - size,
                        "num_validation": size,
                        "best_epoch": 0 if model == HANDCRAFTED else 4 + fold,
                        "best_fold": fold == best,
                        "metric": metric,
                        "value": value,
                    }
                )
    schema = {"fold": pl.Int32, "best_epoch": pl.Int32}
    return check_table(pl.DataFrame(rows, schema_overrides=schema), KFOLD_RESULTS, "kfold_results")


def summary_table(predictions: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for (model,), of_model in predictions.group_by("model", maintain_order=True):
        of_folds = results.filter(pl.col("model") == model)
        for metric, value in scored(of_model).items():
            values = of_folds.filter(pl.col("metric") == metric)["value"]
            rows.append(
                {
                    "model": model,
                    "metric": metric,
                    "mean": values.mean(),
                    "standard_deviation": values.std(),
                    "out_of_fold": value,
                    "low": max(0.0, value - 0.11),
                    "high": min(1.0, value + 0.08),
                    "best_fold": of_folds.filter("best_fold")["fold"][0],
                }
            )
    frame = pl.DataFrame(rows, schema_overrides={"best_fold": pl.Int32})
    return check_table(frame, SUMMARY, "summary")


CONTROL = "container facts"


def evaluation_of(predictions: pl.DataFrame, results: pl.DataFrame) -> Evaluation:
    """What the evaluation makes of these predictions, with few resamples; the control knows
    nothing."""
    how = {"resamples": 100, "seed": 0}
    models = {
        model: predictions.filter(pl.col("model") == model)
        for model in predictions["model"].unique(maintain_order=True)
    }
    first = next(iter(models.values()))
    columns = first.select(
        "video_id",
        pl.when(pl.col("group").str.ends_with("1"))
        .then(pl.lit("phone"))
        .otherwise(pl.lit("<web>"))
        .alias("platform"),
        pl.when(pl.col("group") < "source_03")
        .then(pl.lit("h264"))
        .otherwise(pl.lit("hevc"))
        .alias("codec"),
    )
    shuffled = first["probabilities"].sample(first.height, shuffle=True, seed=5)
    control = first.with_columns(model=pl.lit(CONTROL), probabilities=shuffled)

    def seen(model: str, of_model: pl.DataFrame) -> Any:
        samples = judging.bootstrap(of_model, metrics=("roc_auc",), **how)["roc_auc"]
        value = METRICS["roc_auc"].value(*judging.arrays(of_model))
        return judged(model, results.filter(pl.col("model") == model), value, samples)

    beside = seen(CONTROL, control)
    beside = beside._replace(by_fold=np.full(NUM_FOLDS, 0.5))
    low, high = middle(beside.resampled)
    facts = [
        {"fact": "all facts", "value": beside.value, "low": low, "high": high},
        {"fact": "bit_rate", "value": 0.52, "low": 0.41, "high": 0.63},
    ]
    permutations = [
        {
            "model": model,
            "way": "refit" if model == HANDCRAFTED else "labels",
            "permutations": 99,
            "value": 0.8,
            "mean": 0.5,
            "low": 0.4,
            "high": 0.6,
            "p": 0.01,
        }
        for model in models
    ]
    adjusted = {model: judging.adjust(of_model) for model, of_model in models.items()}
    return Evaluation(
        group_summary=pl.concat(judging.by_group(each, **how) for each in models.values()),
        subsets=pl.concat(judging.by_subset(each, columns, **how) for each in models.values()),
        adjusted=pl.concat(adjusted.values()),
        calibration=pl.concat(
            judging.calibration(each, adjusted[model]) for model, each in models.items()
        ),
        comparison=comparison_table(
            [seen(model, each) for model, each in models.items()],
            beside,
            results,
            num_groups=NUM_SOURCES,
        ),
        control_facts=frame_of(facts, CONTROL_FACTS),
        permutations=frame_of(permutations, PERMUTATIONS),
    )


def curves_table(results: pl.DataFrame) -> pl.DataFrame:
    """Of the handcrafted model, as training writes them, one value of each metric at epoch 0."""
    rows: list[tuple[str, int, int, str, str, float | None]] = []
    for (model, fold), part in results.group_by("model", "fold", maintain_order=True):
        values = dict(part.select("metric", "value").iter_rows())
        if model == HANDCRAFTED:
            rows += [(model, fold, 0, "validation", name, value) for name, value in values.items()]
            continue
        generator = np.random.default_rng([fold, len(model)])
        for epoch in range(1, NUM_EPOCHS - fold % 3 + 1):
            progress = 1 - np.exp(-epoch / 4)
            noise = float(generator.normal(0, 0.02))
            rows += [
                (model, fold, epoch, "train", "loss", 0.7 - 0.5 * progress + noise),
                (model, fold, epoch, "validation", "loss", 0.7 - 0.25 * progress + 2 * noise),
                (model, fold, epoch, "validation", "roc_auc", 0.5 + 0.35 * progress - noise),
                (model, fold, epoch, "validation", "f1", None),
            ]
    return pl.DataFrame(rows, schema=CURVES, orient="row")


def unit_list(models: list[str]) -> list[tuple[str, str, float, float]]:
    units = [("index", "all", 1.2, 180.0), ("split", "all", 0.4, 210.0)]
    units += [("clips", f"slice_{part}", 7.0, 420.0 + 30 * part) for part in range(1, 4)]
    units += [("features", "all", 5.0, 240.0)]
    units += [
        ("train", f"{model}/fold_{fold}", 1.5 if model == HANDCRAFTED else 4.0, 640.0 + 90 * fold)
        for model in models
        for fold in range(1, NUM_FOLDS + 1)
    ]
    return [*units, ("evaluate", "all", 2.5, 330.0)]


def memory_table(models: list[str]) -> pl.DataFrame:
    rows, clock = [], 0.0
    for stage, unit, seconds, peak_mb in unit_list(models):
        moments = np.arange(0.0, seconds, 0.5)
        for moment in moments:
            resident_mb = 120 + (peak_mb - 160) * min(1.0, moment / (0.4 * seconds))
            so_far_mb = resident_mb + 40
            rows.append((clock + float(moment), stage, unit, resident_mb, so_far_mb, 1536.0))
        clock += seconds + 0.3
    return pl.DataFrame(rows, schema=MEMORY, orient="row")


def stages_table(models: list[str]) -> pl.DataFrame:
    rows = [
        (stage, unit, seconds, peak_mb, int(unit == "r2plus1d/fold_3"))
        for stage, unit, seconds, peak_mb in unit_list(models)
    ]
    return pl.DataFrame(rows, schema=STAGES, orient="row")


def plans_table(models: list[str]) -> pl.DataFrame:
    networks = [model for model in models if model != HANDCRAFTED]
    rows = [(model, "plain", 8, 2, 1000.0 + place, 980.0) for place, model in enumerate(networks)]
    return pl.DataFrame(rows, schema=PLANS, orient="row")


def rejected_table(paths: list[str]) -> pl.DataFrame:
    reasons = ["not a video", "no video stream", "not a video"]
    rows = [
        (path, 49 + place, "index", reasons[place % 3], "moov atom not found")
        for place, path in enumerate(paths)
    ]
    schema = ["path", "row", "stage", "reason", "detail"]
    types = {"row": pl.Int64, **{name: pl.String for name in schema if name != "row"}}
    frame = pl.DataFrame(rows, schema={name: types[name] for name in schema}, orient="row")
    return check_table(frame, REJECTED, "rejected")


def sheet_of(number: int) -> Sheet:
    captions = [
        "original",
        "flipped, rotated by 4 degrees, noise 0.02",
        "brightness 1.12, contrast 0.91, recompressed",
        "one frame dropped, cutout of 18 pixels",
    ]
    rows = [
        Strip(caption, frames_of(number)[:, :, :, :: -1 if place == 1 else 1])
        for place, caption in enumerate(captions)
    ]
    return Sheet(video_id(number), video_path(number), CLASSES[number % 2], rows)


def mistake_of(number: int) -> Mistake:
    label, predicted = CLASSES[number % 2], CLASSES[1 - number % 2]
    frames = frames_of(number)
    return Mistake("r2plus1d", video_id(number), video_path(number), label, predicted, 0.93, frames)


def duplicates_table(classes: list[str]) -> pl.DataFrame:
    """A video and its tampered copy, two sources that are one scene, and a row given twice."""
    rows = [
        ("look", 4, 0, 1, "source_00", "source_00"),
        ("look", 2, 10, 14, "source_05", "source_07"),
        ("content", 0, 20, 20, "source_10", "again"),
    ]
    columns = {name: [] for name in DUPLICATES.columns}  # type: dict[str, list[Any]]
    for kind, distance, first, second, group, other_group in rows:
        other_path = video_path(second) if kind == "look" else "videos/again.mp4"
        values = [kind, distance, video_id(first), video_path(first), classes[first % 2], group]
        values += [video_id(second), other_path, classes[second % 2], other_group]
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    frame = pl.DataFrame(columns, schema_overrides={"distance": pl.Int32})
    return check_table(frame, DUPLICATES, "duplicates")


def look_alike_of(number: int) -> LookAlike:
    return LookAlike(
        path=video_path(number),
        label=CLASSES[number % 2],
        frames=frames_of(number),
        other_path=video_path(number + 1),
        other_label=CLASSES[(number + 1) % 2],
        other_frames=frames_of(number),
        distance=4,
    )


STUDY = """task: classify
videos: {table: videos.csv, path: video_path, label: label, group: source_id}
memory: {host: 1536MiB}
clips: {frames: 8, size: 112, copies: 3}
folds: {count: 5}
models: [handcrafted_logistic, naive_cnn, r2plus1d]
train: {epochs: 12, effective_batch: 16}
"""


def search_of(models: list[str]) -> pl.DataFrame:
    """Three trials for the first network on two folds; the second of each is chosen."""
    values = [{"train.learning_rate": 10.0**-trial, "net.channels": [8, 16]} for trial in (2, 3, 4)]
    rows = [
        {
            "model": models[-1],
            "fold": fold,
            "trial": trial,
            "values": json.dumps(values[trial]),
            "metric": "roc_auc",
            "value": None if trial == 2 else 0.7 + trial / 10,
            "epochs": 3,
            "pruned": trial == 0,
            "chosen": trial == 1,
        }
        for fold in (1, 2)
        for trial in range(3)
    ]
    kinds = {"fold": pl.Int32, "trial": pl.Int32, "epochs": pl.Int32}
    return pl.DataFrame(rows, schema_overrides=kinds)


def make_content(
    *, classes: list[str] = CLASSES, skills: dict[str, float] = SKILLS
) -> ReportContent:
    folds, models = folds_table(classes), list(skills)
    predictions = predictions_table(folds, skills, len(classes))
    results = kfold_table(predictions)
    return ReportContent(
        title="Tampered clips from a hand-held camera",
        run_id="run_20261104_141502_9f3c21ab",
        study_yaml=STUDY,
        environment={
            "python": "3.11.7",
            "torch": "2.13.0+cpu",
            "processors": 2,
            "memory_bytes": 8_345_100_288,
            "device": "cpu",
            "git_commit": None,
            "packages": {"av": "18.0.0", "numpy": "2.3.1", "polars": "2.1.0"},
        },
        predictions=predictions,
        kfold_results=results,
        summary=summary_table(predictions, results),
        evaluation=evaluation_of(predictions, results),
        folds=folds,
        rejected=rejected_table(["videos/empty.mp4", "videos/sound.mp4", "videos/torn.mp4"]),
        duplicates=duplicates_table(classes),
        look_alikes=[look_alike_of(0), look_alike_of(10)],
        curves=curves_table(results),
        memory=memory_table(models),
        stages=stages_table(models),
        plans=plans_table(models),
        search=search_of(models),
        shrunk=[],
        decisions=[
            "r2plus1d, fold 3: the micro-batch went from 8 to 4 after a shortage of memory; "
            "the effective batch stayed 16.",
            "Mixed precision is off: this processor has none that is faster.",
        ],
        classes=classes,
        mistakes=[mistake_of(number) for number in (3, 8, 14, 21, 30, 41)],
        contact_sheet=[sheet_of(number) for number in (0, 1, 6, 9)],
        elapsed_seconds=281.4,
    )


@pytest.fixture(scope="session")
def content() -> ReportContent:
    return make_content()


@pytest.fixture(scope="session")
def wide() -> ReportContent:
    """Eight models, five classes, a hundred rows left out, metrics that are not defined."""
    skills = {HANDCRAFTED: 0.3, "r2plus1d": 1.0, "naive_cnn": 0.6}
    skills |= {f"video_transformer_{size}": 0.2 * size for size in range(1, 6)}
    content = make_content(classes=FIVE_CLASSES, skills=skills)
    undefined = pl.when(pl.col("metric") == "equal_error_rate").then(None)
    bounds = ("mean", "standard_deviation", "out_of_fold", "low", "high")
    return replace(
        content,
        kfold_results=content.kfold_results.with_columns(
            value=undefined.otherwise(pl.col("value"))
        ),
        summary=content.summary.with_columns(
            **{name: undefined.otherwise(pl.col(name)) for name in bounds}
        ),
        rejected=rejected_table([f"videos/broken_{number:03d}.mp4" for number in range(100)]),
    )


@pytest.fixture(scope="session")
def crowd() -> ReportContent:
    """25 models, of which many are alike."""
    families = ("handcrafted_logistic", "naive_cnn", "cnn_gru", "slowfast", "videomae")
    skills = {HANDCRAFTED: 0.3} | {
        f"{family}_{size}": 0.2 + 0.25 * place + 0.1 * step
        for place, family in enumerate(families)
        for step, size in enumerate(("tiny", "small", "base", "attention", "multi_scale"))
    }
    return make_content(skills=dict(list(skills.items())[:25]))


@pytest.fixture(scope="session")
def bare(content: ReportContent) -> ReportContent:
    """One model that was fitted at once, and nothing that a run may lack."""
    one = make_content(skills={HANDCRAFTED: 0.5})
    return replace(
        one,
        rejected=one.rejected.clear(),
        duplicates=one.duplicates.clear(),
        look_alikes=[],
        memory=one.memory.clear(),
        search=one.search.clear(),
        shrunk=[],
        decisions=[],
        mistakes=[],
        contact_sheet=[],
        environment={},
        summary=one.summary.with_columns(
            pl.lit(None, pl.Float64).alias(name)
            for name in ("out_of_fold", "low", "high", "standard_deviation")
        ),
        kfold_results=one.kfold_results.with_columns(value=pl.lit(None, pl.Float64)),
        evaluation=Evaluation(
            **{name: table.clear() for name, table in vars(one.evaluation).items()}
        ),
        stages=one.stages.with_columns(host_peak_mb=pl.lit(None, pl.Float64)),
    )


@pytest.fixture(scope="session")
def hostile(content: ReportContent) -> ReportContent:
    """Names that would run, draw or break out of their place if anything forgot to escape them."""
    path = "<img src=x onerror=alert(1)>.mp4"
    classes = ["<svg onload=alert(2)>", "$\\frac{1$ </text><script>alert(3)</script>"]
    names = {"naive_cnn": "<b>cnn</b> | `x`", "r2plus1d": "</svg><script>alert(4)</script>"}

    def renamed(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.col("model").replace(names))

    sheet, mistake = content.contact_sheet[0], content.mistakes[0]
    return replace(
        content,
        title="</title><script>alert(5)</script>",
        study_yaml="</pre><script>alert(6)</script>",
        environment={"</td>": "<script>alert(7)</script>", "packages": {"<i>": "<u>"}},
        predictions=renamed(content.predictions),
        kfold_results=renamed(content.kfold_results),
        summary=renamed(content.summary),
        evaluation=Evaluation(
            **{
                name: renamed(table) if "model" in table.columns else table
                for name, table in vars(content.evaluation).items()
            }
            | {
                "comparison": content.evaluation.comparison.with_columns(
                    pl.col("first", "second").replace(names)
                )
            }
        ),
        curves=renamed(content.curves),
        rejected=rejected_table([path]),
        duplicates=content.duplicates.with_columns(
            path=pl.lit(path), other_group=pl.lit("<script>alert(12)</script>")
        ).head(1),
        look_alikes=[content.look_alikes[0]._replace(path=path, other_label=classes[1])],
        shrunk=["<script>alert(10)</script> [a](javascript:alert(11))"],
        decisions=["<script>alert(8)</script> [a](javascript:alert(9))"],
        classes=classes,
        mistakes=[mistake._replace(path=path, label=classes[0], model=names["r2plus1d"])],
        contact_sheet=[sheet._replace(path=path, rows=[Strip('"><script>', frames_of(1))])],
    )


@pytest.fixture(scope="session")
def retrieval(content: ReportContent) -> RetrievalContent:
    """Three models that retrieve on three folds, with captions of two."""
    return make_retrieval(content, shared_folds(video_id, video_path), frames_of)


@pytest.fixture(scope="session")
def one_retrieves(content: ReportContent) -> RetrievalContent:
    """One model on one fold, without captions and all else that a run may lack."""
    folds = shared_folds(video_id, video_path)
    folds = folds.with_columns(pl.col("fold").replace([1, 2, 3], [0, 0, 1]))
    validated = folds.filter(pl.col("fold") == 1)
    one = make_retrieval(content, validated, frames_of, skills={"r2plus1d": 0.9})
    return replace(made_bare(one), folds=folds)


@pytest.fixture(scope="session")
def hostile_retrieval(retrieval: RetrievalContent) -> RetrievalContent:
    return made_hostile(retrieval)

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from reelfit.report import ReportContent
from reelfit.report.classification import learned
from reelfit.report.content import ranked_models
from reelfit.report.curves import (
    precision_recall_curves,
    precision_recall_points,
    reliability,
    roc_curves,
    roc_points,
)
from reelfit.report.drawing import LEFT_MARGIN, RIGHT_MARGIN, Drawing


def drawn_line(drawing: Drawing, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The line of the model at this rank, as fractions of the axes' width and height."""
    path = re.search(rf'd="([^"]*)"[^>]*stroke: var\(--line-{rank + 1}\)', drawing.svg)
    assert path is not None
    numbers = np.array(re.findall(r"-?\d+(?:\.\d+)?", path[1]), dtype=float).reshape(-1, 2)
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing.svg)
    assert box is not None
    width, height = int(box[1]), int(box[2])
    x = (numbers[:, 0] - LEFT_MARGIN) / (width - LEFT_MARGIN - RIGHT_MARGIN)
    return x, (height - 42 - numbers[:, 1]) / (height - 42 - 24)


def scores_of(content: ReportContent, model: str) -> tuple[np.ndarray, np.ndarray]:
    of_model = content.predictions.filter(model=model)
    return of_model["target"].cast(pl.Int64).to_numpy(), np.array(
        of_model["probabilities"].to_list()
    )


def test_the_area_below_the_drawn_roc_curve_is_that_of_scikit_learn(content: ReportContent):
    drawing = roc_curves(content)
    assert drawing is not None
    for rank, model in enumerate(ranked_models(content)):
        targets, probabilities = scores_of(content, model)
        area = np.trapezoid(*drawn_line(drawing, rank)[::-1])
        assert area == pytest.approx(roc_auc_score(targets, probabilities[:, 1]), abs=1e-3)


def test_the_area_below_the_drawn_precision_is_the_average_precision(content: ReportContent):
    drawing = precision_recall_curves(content)
    assert drawing is not None
    for rank, model in enumerate(ranked_models(content)):
        targets, probabilities = scores_of(content, model)
        area = np.trapezoid(*drawn_line(drawing, rank)[::-1])
        assert area == pytest.approx(
            average_precision_score(targets, probabilities[:, 1]), abs=1e-3
        )


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("decimals", [1, 6])
def test_the_curves_have_the_areas_of_the_library_ties_included(num_classes: int, decimals: int):
    generator = np.random.default_rng(num_classes)
    targets = np.concatenate([np.arange(num_classes), generator.integers(0, num_classes, 60)])
    probabilities = generator.dirichlet(np.ones(num_classes), targets.size).round(decimals)
    roc, steps = roc_points(targets, probabilities), precision_recall_points(targets, probabilities)
    assert roc is not None
    assert steps is not None
    classes = [1] if num_classes == 2 else range(num_classes)
    pairs = [(targets == index, probabilities[:, index]) for index in classes]
    assert auc(*roc) == pytest.approx(np.mean([roc_auc_score(*pair) for pair in pairs]))
    precisions = [average_precision_score(*pair) for pair in pairs]
    assert np.trapezoid(steps[1], steps[0]) == pytest.approx(np.mean(precisions))


def test_many_videos_make_no_heavier_curve(content: ReportContent):
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, 40_000)
    positive = 1 / (1 + np.exp(-generator.normal(targets, 1.0)))
    predictions = pl.DataFrame(
        {
            "model": "r2plus1d",
            "target": targets,
            "probabilities": np.stack([1 - positive, positive], axis=1).tolist(),
        }
    )
    drawing = roc_curves(replace(content, predictions=predictions))
    assert drawing is not None
    assert len(drawing.svg) < 60_000
    area = np.trapezoid(*drawn_line(drawing, 0)[::-1])
    assert area == pytest.approx(roc_auc_score(targets, positive), abs=2e-3)


def test_where_one_class_is_all_there_is_no_curve(content: ReportContent):
    one = replace(content, predictions=content.predictions.filter(target=1))
    assert roc_curves(one) is None
    assert precision_recall_curves(one) is None
    assert reliability(one) is not None
    none = replace(content, predictions=content.predictions.clear())
    assert reliability(none) is None


def test_a_model_that_was_fitted_at_once_has_no_learning_curve(content: ReportContent):
    assert "handcrafted_logistic" in content.curves["model"]
    assert set(learned(content)) == {"naive_cnn", "r2plus1d"}


def test_each_fold_has_its_line_and_its_number(content: ReportContent):
    loss, area = learned(content)["r2plus1d"]
    assert (loss.heading, area.heading) == ("Loss", "ROC AUC")
    texts = ["".join(node.itertext()).strip() for node in ElementTree.fromstring(loss.svg).iter()]
    assert {"1", "2", "3", "4", "5"} <= set(texts)


def test_a_single_epoch_is_drawn_as_a_dot(content: ReportContent):
    first = replace(content, curves=content.curves.filter(pl.col("epoch") <= 1))
    loss, _ = learned(first)["naive_cnn"]
    assert loss.svg.count("<use") >= 5


def test_every_drawing_is_whole_xml_whose_ids_are_its_own(
    content: ReportContent, wide: ReportContent
):
    for made in (content, wide):
        drawings = [roc_curves(made), precision_recall_curves(made), reliability(made)]
        drawings += [each for both in learned(made).values() for each in both]
        ids: list[str] = []
        for drawing in drawings:
            assert drawing is not None
            ids += [
                node.attrib["id"]
                for node in ElementTree.fromstring(drawing.svg).iter()
                if "id" in node.attrib
            ]
        assert len(ids) == len(set(ids))

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from parsed_page import Page

from reelfit.report import ReportContent, render_page
from reelfit.report.content import MEMORY, ranked_models
from reelfit.report.wording import p_value

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    return render_page(content)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_models_table_holds_the_figures_of_the_summary(page: Page, content: ReportContent):
    head, *rows = page.table("Over all out-of-fold predictions")
    assert head == ["Metric", *ranked_models(content)]
    figures = {row[0].split("|")[0]: row[1:] for row in rows}
    titles = {"roc_auc": "ROC AUC", "brier_score": "Brier score", "f1": "F1"}
    for metric, title in titles.items():
        for place, model in enumerate(ranked_models(content)):
            row = content.summary.filter(model=model, metric=metric).row(0, named=True)
            written = f"{row['out_of_fold']:.3f}|{row['low']:.3f} to {row['high']:.3f}"
            assert figures[title][place] == written
    best_folds = dict(content.summary.select("model", "best_fold").iter_rows())
    assert figures["Best fold"] == [str(best_folds[model]) for model in ranked_models(content)]


def test_every_fold_of_every_model_is_listed_with_its_figures(page: Page, content: ReportContent):
    head, *rows = page.table("Each fold, scored on its own validation videos")
    assert len(rows) == content.kfold_results.select("model", "fold").n_unique()
    place = head.index("Accuracy")
    written = {(row[0], row[1].split("|")[0]): row[place] for row in rows}
    accuracies = content.kfold_results.filter(metric="accuracy")
    for model, fold, value in accuracies.select("model", "fold", "value").iter_rows():
        assert written[model, str(fold)] == f"{value:.3f}"


def test_the_confusion_matrix_counts_the_predictions(page: Page, content: ReportContent):
    rows = page.table("naive_cnn, 48 videos")[1:]
    for target, row in enumerate(rows):
        for predicted, cell in enumerate(row[1:]):
            found = content.predictions.filter(
                model="naive_cnn", target=target, predicted=predicted
            )
            assert cell.split("|")[0] == str(found.height)


def test_the_stages_add_up_their_units(page: Page, content: ReportContent):
    rows = {row[0]: row[1:] for row in page.table("Time of each stage")[1:]}
    units = content.stages.filter(stage="train")
    peak_mb = units["host_peak_mb"].max()
    assert rows["train"] == [
        str(units.height),
        f"{units['seconds'].sum():.1f} s",
        "1",
        f"{peak_mb:,.0f}",
        "1,536",
        f"{100 * peak_mb / 1536:.0f} %",
    ]


def test_the_best_of_a_metric_is_the_lowest_where_lower_is_better(
    html: str, content: ReportContent
):
    errors = content.summary.filter(metric="brier_score")["out_of_fold"]
    row = re.search(r"<tr><th[^>]*>Brier score.*?</tr>", html, re.DOTALL)
    assert row is not None
    assert re.findall(r"<b>(.*?)</b>", row[0]) == [f"{errors.min():.3f}"]


def test_the_page_asks_for_nothing_and_runs_nothing(html: str, page: Page):
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "iframe", "object", "embed", "base", "form"}
    addresses = [
        attributes[name] or ""
        for _, attributes in page.elements
        for name in ("src", "href", "xlink:href")
        if name in attributes
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", html)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_every_inner_link_has_its_place_and_no_id_stands_twice(page: Page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert {(link or "")[1:] for link in links} <= set(ids)


def test_pictures_and_drawings_say_what_they_show(page: Page):
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 6 + 4 * 4 + 2 * 2
    assert all(attributes["alt"] for attributes in pictures)
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in drawings)


def test_names_from_outside_are_text_and_nothing_else(hostile: ReportContent):
    html = render_page(hostile)
    page = Page(html)
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "u"}
    assert not any(
        "onerror" in attributes or "onload" in attributes for _, attributes in page.elements
    )
    for number in range(4, 9):
        assert f"<script>alert({number})</script>" in page.text
    assert "<img src=x onerror=alert(1)>.mp4" in page.text
    assert "<svg onload=alert(2)>" in page.text


def test_the_same_content_gives_the_same_bytes(content: ReportContent, html: str):
    assert render_page(content) == html


def test_eight_models_and_five_classes_have_all_their_rows(wide: ReportContent):
    page = Page(render_page(wide))
    head, *rows = page.table("Over all out-of-fold predictions")
    assert len(head) == 9
    assert next(row for row in rows if row[0].startswith("Equal error rate"))[1:] == ["—"] * 8
    assert len(page.table("Each row left out")) == 101
    matrices = [rows for caption, rows in page.tables.items() if caption.endswith(", 48 videos")]
    assert [len(rows) for rows in matrices] == [6] * 8


def test_25_models_have_a_row_each_and_the_page_stays_light(crowd: ReportContent):
    html = render_page(crowd)
    page = Page(html)
    head, *rows = page.table("Over all out-of-fold predictions")
    assert [row[0] for row in rows] == ranked_models(crowd)
    assert head[0] == "Model"
    assert len(head) < 9
    assert len(page.table("than that of each other model")[1:]) == 24
    assert "The best 8 of 25 models." in page.text
    assert page.text.count("The other 17 models") == 1
    assert "The other 16 models" in page.text  # that learn by epochs
    assert len(html.encode()) < 3 * MEBIBYTE


def test_each_model_stands_beside_the_best_and_beside_the_control(
    page: Page, content: ReportContent
):
    best, *others = ranked_models(content)
    rows = page.table(f"How much higher the ROC AUC of {best} is")[1:]
    assert [row[0] for row in rows] == others
    pair = content.evaluation.comparison.filter(first=best, second=others[0]).row(0, named=True)
    assert rows[0][1].startswith(f"{pair['difference']:+.3f}|{pair['low']:.3f} to")
    assert rows[0][2] == p_value(pair["adjusted_p_groups"])
    rows = page.table("is than that of the control")[1:]
    assert [row[0] for row in rows] == ranked_models(content)
    assert page.table("ROC AUC of the control")[1][0] == "all facts"
    assert page.table("where labels mean nothing")[1][-1] == "0.010"


def test_calibration_and_thresholds_are_those_of_the_other_folds(
    page: Page, content: ReportContent
):
    best = ranked_models(content)[0]
    head, first, *_ = page.table("Calibration by a temperature")
    table = content.evaluation.calibration.filter(model=best, metric="log_loss")
    assert first[head.index("Log loss, after")] == f"{table['after'][0]:.3f}"
    decided = content.evaluation.adjusted.filter(model=best)
    row = page.table("Confusion at the threshold")[1]
    for place, (target, said) in enumerate([(1, 1), (1, 0), (0, 1), (0, 0)], start=2):
        assert row[place] == str(decided.filter(target=target, decided=said).height)


def test_subsets_that_are_too_small_are_shown_with_their_reason(page: Page, content: ReportContent):
    rows = {row[0]: row[1:] for row in page.table("ROC AUC by codec")[1:]}
    assert rows["h264|fewer than 5 groups: too few to judge"] == ["6", "3", "—", "—", "—"]
    assert rows["hevc"][:2] == ["42", "21"]
    assert "<web>" in {row[0] for row in page.table("ROC AUC by platform")[1:]}


def test_every_table_has_a_caption_and_heads_with_a_scope(page: Page):
    assert "" not in page.tables
    heads = [attributes for tag, attributes in page.elements if tag == "th"]
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


def test_a_run_that_lacks_everything_still_has_a_page(bare: ReportContent):
    page = Page(render_page(bare))
    assert "No model has an out-of-fold ROC AUC." in page.text
    assert "it has no epochs, so no learning curve" in page.text
    assert "No mistakes are shown." in page.text
    assert "Nothing: every row of the table was used." in page.text
    assert "No memory was recorded over time." in page.text


def test_more_rejected_rows_than_a_person_reads_are_counted_not_listed(content: ReportContent):
    many = pl.concat([content.rejected] * 400)
    page = Page(render_page(replace(content, rejected=many)))
    caption = next(caption for caption in page.tables if caption.startswith("Each row left out"))
    assert "The other 700 stand in rejected.parquet." in caption
    assert len(page.tables[caption]) == 501


def test_a_long_memory_log_and_noisy_frames_stay_below_three_mebibytes(content: ReportContent):
    moments = np.arange(100_000)
    memory = pl.DataFrame(
        {
            "seconds": moments / 10,
            "stage": "train",
            "unit": [f"r2plus1d/fold_{moment // 10_000 + 1}" for moment in moments],
            "host_rss_mb": 700 + 200 * np.sin(moments / 50),
            "host_peak_mb": 901.0,
            "budget_mb": 1536.0,
        },
        schema=MEMORY,
    )
    noise = np.random.default_rng(0).integers(0, 256, (8, 3, 112, 112), dtype=np.uint8)
    sheets = [
        sheet._replace(rows=[row._replace(frames=noise) for row in sheet.rows])
        for sheet in content.contact_sheet
    ]
    heavy = replace(content, memory=memory, contact_sheet=sheets)
    assert len(render_page(heavy).encode()) < 3 * MEBIBYTE


def test_whoever_names_the_report_brings_no_drawing_library():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, reelfit.report; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert not {"matplotlib", "sklearn", "torch", "jinja2", "av"} & set(said)

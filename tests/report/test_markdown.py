import dataclasses
import re

import polars as pl

from reelfit.report import ReportContent, render_markdown
from reelfit.report.content import ranked_models


def tables_of(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.strip().splitlines()
        ]
        for block in blocks
    ]


def test_the_first_table_holds_the_figures_of_the_summary(content: ReportContent):
    head, _, *rows = tables_of(render_markdown(content))[0]
    assert head == ["Metric", *ranked_models(content)]
    model = ranked_models(content)[-1]
    area = content.summary.filter(model=model, metric="roc_auc").row(0, named=True)
    written = f"{area['out_of_fold']:.3f} ({area['low']:.3f} to {area['high']:.3f})"
    assert rows[0][0] == "ROC AUC"
    assert rows[0][-1] == written


def test_the_best_of_a_metric_is_strong(content: ReportContent):
    rows = tables_of(render_markdown(content))[0]
    best = content.summary.filter(metric="roc_auc")["out_of_fold"].max()
    strong = [cell for cell in rows[2] if cell.startswith("**")]
    assert len(strong) == 1
    assert strong[0].startswith(f"**{best:.3f}** (")


def test_every_row_of_a_table_has_as_many_cells_as_its_head(
    content: ReportContent, wide: ReportContent, hostile: ReportContent
):
    for made in (content, wide, hostile):
        tables = tables_of(render_markdown(made))
        assert len(tables) > 8
        for table in tables:
            assert {len(row) for row in table} == {len(table[0])}


def test_the_verdict_stands_before_the_first_table(content: ReportContent):
    text = render_markdown(content)
    before = text[: text.index("## Models")]
    assert "**r2plus1d is better than chance: ROC AUC" in before
    assert content.run_id in before


def test_what_a_model_gave_up_stands_before_the_verdict(content: ReportContent):
    shrunk = dataclasses.replace(content, shrunk=["r2plus1d is a smaller one: 4 of 8 frames."])
    text = render_markdown(shrunk)
    assert text.index("**Note first:** r2plus1d is a smaller one") < text.index("**r2plus1d is")
    assert "Note first" not in render_markdown(content)


def test_rejections_and_decisions_are_told(content: ReportContent):
    text = render_markdown(content)
    for path, detail in content.rejected.select("path", "detail").iter_rows():
        assert f"| {path} |" in text
        assert detail in text
    for decision in content.decisions:
        assert f"- {decision}" in text


def test_names_from_outside_are_text_and_nothing_else(hostile: ReportContent):
    text = render_markdown(hostile)
    assert not re.search(r"<\w|</", text)
    assert "\\[a\\](javascript" in text
    assert "\\`x\\`" in text


def test_an_underscore_inside_a_name_stays_and_one_around_it_is_no_emphasis(
    content: ReportContent,
):
    odd = content.rejected.with_columns(path=pl.lit("_take_1_.mp4"))
    text = render_markdown(content.__class__(**{**vars(content), "rejected": odd}))
    assert "\\_take_1\\_.mp4" in text


def test_a_run_that_lacks_everything_says_so(bare: ReportContent):
    text = render_markdown(bare)
    assert "## What was rejected\n\nNone." in text
    assert "## What was decided\n\nNone." in text
    assert "nan" not in text.lower().replace("maintenance", "")

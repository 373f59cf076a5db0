import re
from dataclasses import replace

import polars as pl
import pytest
from parsed_page import Page

from reelfit.report import ReportContent, RetrievalContent, render_markdown, render_page
from reelfit.report.retrieval.ranking import ranked


@pytest.fixture(scope="module")
def html(retrieval: RetrievalContent) -> str:
    return render_page(retrieval)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def figures(content: RetrievalContent, model: str, direction: str, metric: str) -> dict:
    found = content.summary.filter(model=model, direction=direction, metric=metric)
    return found.row(0, named=True)


@pytest.mark.parametrize("direction", ["video_to_text", "text_to_video"])
def test_each_direction_has_its_figures_of_every_model_best_first(
    page: Page, retrieval: RetrievalContent, direction: str
):
    caption = direction.replace("_", " ").replace("video to", "From video to")
    caption = caption.replace("text to", "From text to") if "From" not in caption else caption
    head, *rows = page.table(f"{caption}, over the queries of all folds")
    assert head == ["Model", "R@1", "R@5", "R@10", "Median rank", "MRR", "mAP", "nDCG@10"]
    assert [row[0] for row in rows] == [*ranked(retrieval), "a random order"]
    for row in rows[:-1]:
        first = figures(retrieval, row[0], direction, "recall@1")
        written = f"{first['value']:.3f}|{first['low']:.3f} to {first['high']:.3f}"
        assert row[1] == written
        assert row[4] == f"{figures(retrieval, row[0], direction, 'median_rank')['value']:.1f}"
        assert row[6] == f"{figures(retrieval, row[0], direction, 'map')['value']:.3f}"
    assert rows[-1][1] == f"{first['chance']:.3f}"


def test_of_the_median_rank_the_lowest_is_the_best(html: str, retrieval: RetrievalContent):
    other = replace(
        retrieval,
        summary=retrieval.summary.with_columns(
            value=pl.when(pl.col("metric") == "median_rank")
            .then(pl.when(pl.col("model") == "cnn_gru").then(1.5).otherwise(4.5))
            .otherwise(pl.col("value"))
        ),
    )
    page = render_page(other)
    assert page.count("<b>1.5</b>") == 2
    assert "<b>4.5</b>" not in page


def test_every_fold_has_its_own_figures_in_both_directions(page: Page, retrieval: RetrievalContent):
    head, *rows = page.table("Each fold, over its own queries")
    assert len(rows) == retrieval.results.select("model", "fold", "direction").n_unique()
    found = retrieval.results.filter(
        model="cnn_gru", fold=2, direction="text_to_video", metric="mrr"
    )["value"][0]
    row = next(r for r in rows if r[:2] == ["cnn_gru", "from text to video"] and r[2][0] == "2")
    assert row[head.index("MRR")] == f"{found:.3f}"
    best = [row for row in rows if row[2].endswith("|best")]
    assert {row[0] for row in best} == set(ranked(retrieval))
    assert len(best) == 2 * 3


def test_the_ranks_of_every_query_are_counted_once(page: Page, retrieval: RetrievalContent):
    head, *rows = page.table("From video to text: queries by the rank")
    assert head[:4] == ["Model", "1", "2", "3 to 5"]
    for row in rows:
        ranks = retrieval.queries.filter(model=row[0], direction="video_to_text")["rank"]
        counts = [int(cell.split("|")[0]) for cell in row[1:]]
        assert sum(counts) == ranks.len()
        assert counts[0] == (ranks == 1).sum()
        assert counts[2] == ranks.is_between(3, 5).sum()


def test_captions_stand_with_their_figures_beside_their_frames(
    page: Page, html: str, retrieval: RetrievalContent
):
    head, *rows = page.table("Of the captions of 36 items")
    assert head[1:] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR", "CIDEr"]
    assert rows[0][:2] == ["r2plus1d", "0.820|0.770 to 0.860"]
    assert len(rows) == 2
    section = html[html.index('aria-labelledby="captions"') : html.index('aria-labelledby="best"')]
    for sample in retrieval.samples:
        assert f"<strong>{sample.generated}</strong>" in section
        for video in sample.videos:
            assert f"8 frames of {video.path}" in section


def test_the_best_and_the_worst_stand_with_what_was_answered(
    html: str, retrieval: RetrievalContent
):
    for name, shown in (("best", retrieval.best), ("worst", retrieval.worst)):
        begin = html.index(f'aria-labelledby="{name}"')
        section = html[begin : html.index("</section>", begin)]
        assert section.count('class="item"') == len(shown)
        for one in shown:
            assert f"is at rank {one.rank:.0f} of {one.num_answers}" in section
            for answer in one.answers:
                kept = f"<b>{answer.text}</b>" if answer.right else f"<li>{answer.text} <span>"
                assert kept in section


def test_without_captions_there_is_no_section_of_them(one_retrieves: RetrievalContent):
    page = render_page(one_retrieves)
    assert "aptions" not in Page(page).text
    assert "aptions" not in render_markdown(one_retrieves)
    assert page.count("None are shown.") == 2


def test_videos_that_no_fold_validates_are_for_training_only(one_retrieves: RetrievalContent):
    page = Page(render_page(one_retrieves))
    head, items, videos, _ = page.table("What each fold validates")
    assert head[1:] == ["Training only", "Fold 1", "Total"]
    folds = one_retrieves.folds
    assert videos[1:] == [str((folds["fold"] == 0).sum()), str((folds["fold"] == 1).sum()), "48"]
    assert items[-1] == "36"


def test_items_are_not_said_to_have_wrong_labels(page: Page, html: str):
    assert "different labels" not in page.text
    assert "another label" not in html
    assert "Item <b>real</b>" in html


def test_the_page_asks_for_nothing_and_runs_nothing(html: str, page: Page):
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "iframe", "object", "embed", "base", "form"}
    addresses = [
        attributes[name] or ""
        for _, attributes in page.elements
        for name in ("src", "href")
        if name in attributes
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_links_pictures_and_tables_say_what_they_are(page: Page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert {(link or "")[1:] for link in links} <= set(ids)
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in drawings)
    assert "" not in page.tables
    heads = [attributes for tag, attributes in page.elements if tag == "th"]
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


def test_names_and_texts_from_outside_are_text_and_nothing_else(
    hostile_retrieval: RetrievalContent,
):
    page = Page(render_page(hostile_retrieval))
    assert not {tag for tag, _ in page.elements} & {"script", "u"}
    assert not any("onerror" in attributes for _, attributes in page.elements)
    for number in (22, 23, 25):
        assert f"<script>alert({number})</script>" in page.text
    text = render_markdown(hostile_retrieval)
    assert not re.search(r"<\w|</", text)
    assert "\\`x\\`" in text


def test_the_same_content_gives_the_same_bytes(retrieval: RetrievalContent, html: str):
    assert render_page(retrieval) == html
    assert render_markdown(retrieval) == render_markdown(retrieval)


def test_the_text_has_the_tables_of_the_page(retrieval: RetrievalContent):
    text = render_markdown(retrieval)
    first = figures(retrieval, "r2plus1d", "video_to_text", "recall@1")
    written = f"**{first['value']:.3f}** ({first['low']:.3f} to {first['high']:.3f})"
    assert f"| r2plus1d | {written} |" in text
    assert text.index("**r2plus1d is better than chance") < text.index("## Models")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:4] == ["Models", "Ranks", "Captions", "Time and memory"]


def test_a_run_that_classifies_has_nothing_of_retrieval(content: ReportContent):
    page = render_page(content)
    assert "R@1" not in page
    assert ".beside" not in page


def test_what_a_search_tried_and_chose_is_shown_where_there_was_one(
    retrieval: RetrievalContent,
):
    told = retrieval.search.with_columns(metric=pl.lit("video_to_text_mrr"))
    page = render_page(replace(retrieval, search=told))
    for text in (page, render_markdown(replace(retrieval, search=told))):
        assert "Chosen in a search of 6 trials, by Video to text" in text
        assert "ended early" in text
    without = replace(retrieval, search=told.clear())
    for text in (render_page(without), render_markdown(without)):
        assert "search of" not in text

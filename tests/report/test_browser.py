"""The page in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from reelfit.report import ReportContent, RetrievalContent, render_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

SPARE = ("bare", "one retrieves")
"""Runs that lack all that a run may lack."""

CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ratio = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + .05) / (dark + .05);
  };
  const grounds = (node) => {
    const colours = [];
    for (let at = node; at; at = at.parentElement) {
      colours.unshift(getComputedStyle(at).backgroundColor);
    }
    return colours;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), node = walker.currentNode.parentElement;
    if (!text || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), ground = grounds(node);
    const ink = node.closest('svg') ? style.fill : style.color;
    found.push([ratio(over([...ground, ink]), over(ground)), text]);
  }
  const paper = over(grounds(document.body));
  const lines = [...document.querySelectorAll('svg path')]
    .map(path => getComputedStyle(path).stroke).filter(colour => colour != 'none');
  const rule = getComputedStyle(document.querySelector('section')).borderTopColor;
  const thin = [...new Set(lines)].filter(colour => colour != rule)
    .map(colour => [ratio(over([...grounds(document.body), colour]), paper), colour]);
  return {texts: found, lines: thin};
}"""

OVERFLOWING = """() => {
  const hidden = (node) => {
    for (let at = node.parentElement; at; at = at.parentElement) {
      if (getComputedStyle(at).overflowX != 'visible') return true;
    }
    return false;
  };
  return [...document.querySelectorAll('body *')]
    .filter(node => node.getBoundingClientRect().right > innerWidth + .5 && !hidden(node))
    .map(node => node.outerHTML.slice(0, 80));
}"""

UNDRAWN = """() => [
  ...[...document.images].filter(i => !(i.complete && i.naturalWidth > 0 && i.clientWidth > 0)),
  ...[...document.querySelectorAll('svg')].filter(s => {
    const box = s.getBoundingClientRect();
    return s.querySelectorAll('path').length == 0 || box.width < 10 || box.height < 5;
  }),
].map(node => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    content: ReportContent,
    wide: ReportContent,
    bare: ReportContent,
    hostile: ReportContent,
    crowd: ReportContent,
    retrieval: RetrievalContent,
    one_retrieves: RetrievalContent,
    hostile_retrieval: RetrievalContent,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    made = {"plain": content, "wide": wide, "bare": bare, "hostile": hostile, "crowd": crowd}
    made |= {"retrieval": retrieval, "one retrieves": one_retrieves, "rude": hostile_retrieval}
    paths = {name: folder / f"{name}.html" for name in made}
    for name, path in paths.items():
        path.write_text(render_page(made[name]), encoding="utf-8")
    return paths


class Opened:
    """A page, with whatever went wrong while it was open."""

    def __init__(self, browser: Browser, path: Path, *, scheme: str, width: int) -> None:
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
        )
        self.page: Page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("requestfailed", lambda request: self.troubles.append(request.url))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.goto(path.as_uri())
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("name", [*SPARE, "plain", "wide", "hostile", "crowd", "retrieval", "rude"])
def test_nothing_goes_wrong_and_every_picture_is_drawn(
    browser: Browser, files: dict[str, Path], name: str
):
    with Opened(browser, files[name], scheme="light", width=1280) as opened:
        assert opened.page.evaluate(UNDRAWN) == []
        assert opened.page.locator("svg[role=img]").count() >= (2 if name in SPARE else 6)
        assert opened.page.locator("img").count() >= (0 if name in SPARE else 2)
        assert opened.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "wide", "crowd", "retrieval"])
def test_text_and_lines_stand_out_from_their_ground(
    browser: Browser, files: dict[str, Path], name: str, scheme: str
):
    with Opened(browser, files[name], scheme=scheme, width=1280) as opened:
        found = opened.page.evaluate(CONTRASTS)
        assert len(found["texts"]) > 250
        assert [text for text in found["texts"] if text[0] < 4.5] == []
        assert len(found["lines"]) >= 4
        assert [line for line in found["lines"] if line[0] < 3.0] == []


def test_dark_is_dark_and_light_is_light(browser: Browser, files: dict[str, Path]):
    grounds = []
    for scheme in ("light", "dark"):
        with Opened(browser, files["plain"], scheme=scheme, width=800) as opened:
            grounds.append(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 21, 23)"]


@pytest.mark.parametrize("name", [*SPARE, "plain", "wide", "hostile", "crowd", "retrieval", "rude"])
@pytest.mark.parametrize("width", [360, 800])
def test_nothing_sticks_out_of_a_narrow_window(
    browser: Browser, files: dict[str, Path], name: str, width: int
):
    with Opened(browser, files[name], scheme="light", width=width) as opened:
        assert opened.page.evaluate(OVERFLOWING) == []
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["plain", "wide", "crowd", "retrieval"])
def test_nothing_is_cut_off_on_paper(browser: Browser, files: dict[str, Path], name: str):
    with Opened(browser, files[name], scheme="dark", width=718) as opened:  # A4 less its margins
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate(OVERFLOWING) == []
        ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"

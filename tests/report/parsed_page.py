"""A page as tests read it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tables of a page as texts, its elements, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._caption = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("caption", "th", "td", "style"):
            self._inside.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("th", "td"):
            self.tables[self._caption][-1].append("")
        if tag == "small" and self._inside[-1:] in (["td"], ["th"]):
            self.tables[self._caption][-1][-1] += "|"

    def handle_endtag(self, tag):
        if tag in ("caption", "th", "td", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if "style" in self._inside:
            return
        self.text += data
        if self._inside[-1:] == ["caption"]:
            self._caption += data
        elif self._inside:
            self.tables[self._caption][-1][-1] += data

    def table(self, caption: str) -> list[list[str]]:
        found = [rows for name, rows in self.tables.items() if caption in name]
        assert len(found) == 1, list(self.tables)
        return found[0]

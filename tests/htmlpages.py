"""Is a page what a browser may be given: valid, and asking for nothing?"""

from __future__ import annotations

from html.parser import HTMLParser

import html5lib

_TAGS = """html head meta title style body
header h1 main section div h2 p ul li dl dt dd table thead tbody tr th
td details summary figure svg text rect circle line path"""
_ATTRIBUTES = """lang charset http-equiv content name class scope data-t tabindex role aria-label viewbox x y
x1 y1 x2 y2 cx cy r rx d width height opacity"""
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())


class Seen(HTMLParser):
    """The elements and attributes of a page, and its text outside of the style sheet."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._styled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._styled = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._styled = False

    def handle_data(self, data: str) -> None:
        if not self._styled:
            self.text.append(data)


def check_page(page: str) -> str:
    """The text of a page that is valid HTML5, of our elements and attributes alone, and loads nothing."""
    html5lib.HTMLParser(strict=True).parse(page)
    seen = Seen()
    seen.feed(page)
    seen.close()
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    return " ".join(seen.text)

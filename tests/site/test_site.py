"""The manual as a site: it is whole, and needs no other host.

Run by `make docs` after the build, not with the other tests: its environment has no test tools.
"""

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).parent.parent.parent / "build" / "docs"
PAGES = sorted(SITE.glob("**/*.html"))
# What a browser fetches without being asked to.
FETCHED = {"script": "src", "link": "href", "img": "src", "source": "src", "iframe": "src"}


class Page(HTMLParser):
    """The references of a page, and the anchors in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag in FETCHED and FETCHED[tag] in values:
            self.fetched.append(values[FETCHED[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


PARSED = {path: Page(path) for path in PAGES}


def test_the_site_is_built() -> None:
    assert len(PAGES) > 30
    assert (SITE / "searchindex.js").exists()
    assert (SITE / "genindex.html").exists()


def test_the_pages_in_chinese_say_so() -> None:
    said = {path for path in PAGES if '<html class="no-js" lang="zh-CN"' in path.read_text("utf-8")}
    assert said == {SITE / "README.zh.html", *(SITE / "docs/zh").glob("*.html")}


@pytest.mark.parametrize("word", ["令牌", "时钟", "轮换", "应用"])
def test_the_search_knows_a_chinese_word(word: str) -> None:
    text = (SITE / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    pages = index["terms"].get(word, [])
    found = [index["docnames"][page] for page in ([pages] if isinstance(pages, int) else pages)]
    assert [name for name in found if name.startswith("docs/zh/")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(SITE).as_posix())
def test_a_page_fetches_nothing_from_another_host(path: Path) -> None:
    for reference in PARSED[path].fetched:
        url = urlsplit(reference)
        assert not url.netloc, reference
        assert url.scheme in ("", "data"), reference
        assert not url.path or (path.parent / unquote(url.path)).exists(), reference


@pytest.mark.parametrize("path", sorted(SITE.glob("**/*.css")), ids=lambda path: path.name)
def test_a_style_fetches_nothing_from_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "@import" not in text
    for scheme in ("http:", "https:", "//"):
        for quote in ("", "'", '"'):
            assert f"url({quote}{scheme}" not in text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(SITE).as_posix())
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    for link in PARSED[path].links:
        url = urlsplit(link)
        if url.scheme:
            continue
        target = (path.parent / unquote(url.path)).resolve() if url.path else path
        assert target.exists(), link
        if url.fragment and target in PARSED:
            assert unquote(url.fragment) in PARSED[target].anchors | {""}, link

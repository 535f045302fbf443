"""What coding agents read: `llms.txt` at the root, and the page that it names first."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from fake_oauth import Exchange, FakeOAuth, faults
from fake_oauth.behavior.assertions import ClientAssertions
from tests.test_docs import PAGES, anchors

ROOT = Path(__file__).parent.parent
LLMS = (ROOT / "llms.txt").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/howto/coding-agent.md").read_text(encoding="utf-8")


def test_llms_txt_has_the_form_that_its_readers_parse() -> None:
    """A title, a summary, and sections of links with descriptions (llmstxt.org)."""
    title, summary, *rest = LLMS.split("\n\n")
    assert title == "# fake_oauth"
    assert all(line.startswith("> ") for line in summary.splitlines())
    sections = "\n\n".join(rest).split("\n## ")[1:]
    assert [section.partition("\n")[0] for section in sections][-1] == "Optional"
    for section in sections:
        for line in section.splitlines()[1:]:
            assert not line or re.fullmatch(r"- \[[^]]+\]\([^)]+\): .+[^.]", line), line


def test_the_links_of_llms_txt_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)]+)\)", LLMS)
    assert len(links) > 15
    assert len(set(links)) == len(links)
    for link in links:
        name, _, anchor = link.partition("#")
        assert (ROOT / name).is_file(), link
        assert not anchor or anchor in anchors(ROOT / name), link


def test_llms_txt_is_in_the_source_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "llms.txt" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


def test_the_page_fits_on_two_screens() -> None:
    assert ROOT / "docs/howto/coding-agent.md" in PAGES, "its blocks run in test_docs"
    assert len(PAGE.splitlines()) <= 90
    assert len(PAGE) < 6000


def test_what_the_page_names_exists() -> None:
    named = set(re.findall(r"oauth_server\.(\w+)", PAGE))
    assert len(named) > 5
    assert named - set(dir(FakeOAuth)) - set(FakeOAuth.__annotations__) == set()
    assert [
        name for name in re.findall(r"faults\.([A-Z]\w+)", PAGE) if not hasattr(faults, name)
    ] == []
    checks = re.findall(r"assert_client\.(\w+)", PAGE)
    assert [name for name in checks if not hasattr(ClientAssertions, name)] == []
    attributes = re.findall(r"journal\[-1\]\.(\w+)", PAGE)
    assert [name for name in attributes if name not in dir(Exchange)] == []


def test_the_page_has_five_calls_and_ten_mistakes() -> None:
    calls = PAGE.partition("## Five calls")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| `oauth_server\.", calls, re.MULTILINE)) == 5
    mistakes = PAGE.partition("## Ten mistakes")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. Don't ", mistakes, re.MULTILINE) == [str(n) for n in range(1, 11)]

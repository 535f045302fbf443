"""The Chinese pages: their code is that of the English pages, and their commands run."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import httpx
import pytest

from fake_oauth import FakeOAuth, Settings
from fake_oauth.control import PREFIX

ROOT = Path(__file__).parent.parent
STUB = (ROOT / "docs/zh/stub-server.md").read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block, with long commands on one line."""
    for match in re.finditer(r"^```([^\n]+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield match[1], match[2].replace("\\\n", "")


def code(page: str) -> list[tuple[str, str]]:
    """Return the blocks of a page without comments and docstrings."""
    return [(language, without_words(language, text)) for language, text in blocks(page)]


def without_words(language: str, text: str) -> str:
    if language == "sh":
        return re.sub(r" *#.*", "", text)
    if not language.startswith("python"):
        return text
    module = ast.parse(dedent(text))
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            has_docstring = ast.get_docstring(node) is not None
            node.body = node.body[has_docstring:]
    return ast.unparse(module)


def test_the_code_of_the_tutorial_is_the_same_in_both_languages() -> None:
    english, chinese = (
        code((ROOT / "docs" / name).read_text(encoding="utf-8"))
        for name in ("tutorial.md", "zh/tutorial.md")
    )
    assert len(english) > 50
    assert chinese == english


def test_the_code_of_the_chinese_readme_is_in_the_english_one() -> None:
    english, chinese = (
        code((ROOT / name).read_text(encoding="utf-8")) for name in ("README.md", "README.zh.md")
    )
    assert len(chinese) > 6
    assert [block for block in chinese if block not in english] == []


def is_shown(shown: str, output: str) -> bool:
    """Return whether a text shows the output; `…` leaves out a part of it."""
    parts = shown.rstrip("\n").split("…")
    pattern = ".*".join(re.escape(part) for part in parts)
    return re.fullmatch(pattern, output.rstrip("\n"), re.DOTALL) is not None


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_the_stub_servers_page_run_in_order() -> None:
    """A settings file in the page starts the server that the commands after it are for."""
    shown = 0
    with ExitStack() as running:
        server = running.enter_context(FakeOAuth(Settings(control=True)))
        for language, text in blocks(STUB):
            if language == "toml" and "[[clients]]" in text:
                settings = Settings.from_mapping({"control": True, **tomllib.loads(text)})
                server = running.enter_context(FakeOAuth(settings))
            for command in re.findall(r"^(?:\$ )?(curl .+)", text, re.MULTILINE):
                arguments = shlex.split(command.replace("http://127.0.0.1:8080", server.url))
                output = subprocess.run(
                    [*arguments, "-s"], check=True, capture_output=True, text=True
                ).stdout
                if language == "console":
                    assert is_shown(text.partition("\n")[2], output), f"{text}\n{output}"
                    shown += 1
                else:
                    assert "error" not in json.loads(output), output
            if text.startswith("http://127.0.0.1:8080/oauth2/authorize"):
                response = httpx.get(text.strip().replace("http://127.0.0.1:8080", server.url))
                assert urlsplit(response.headers["Location"]).path == "/portal/login"
    assert shown == 6


def test_the_controls_on_the_stub_servers_page_do_what_their_examples_ask_for() -> None:
    rows = re.findall(rf"^\| `([A-Z]+) ({PREFIX}/\w+)` \| (.+?) \|", STUB, re.MULTILINE)
    assert len(rows) > 10
    (settings,) = (text for language, text in blocks(STUB) if "[[clients]]" in text)
    with FakeOAuth(Settings.from_mapping({"control": True, **tomllib.loads(settings)})) as server:
        for method, path, body in rows:
            example = None if body == "–" else json.loads(body.strip("`"))
            response = httpx.request(method, server.url + path, json=example)
            assert response.status_code == 200, (path, response.text)

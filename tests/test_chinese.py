"""The Chinese pages: their code is that of the English pages, and their commands run."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import cases, select
from fake_oauth.contract.placeholders import fill
from fake_oauth.control import PREFIX
from fake_oauth.http.languages import CHINESE
from tests.support.contract import fake_target
from tests.test_pytest_plugin import ALONE

ROOT = Path(__file__).parent.parent
README, STUB, TOKEN, TUTORIAL = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.zh.md",
        "docs/zh/stub-server.md",
        "docs/zh/token.md",
        "docs/zh/tutorial.md",
    )
)
# What a reader replaces in the example above a table of errors.
MARK = "  # 换成下表中的任意一行"


# Words for what the pages of this server and CIAM call otherwise.
STRANGE = re.compile("颁发|您|端点|撤销|机密应用|一次性密码|重定向 URI|设置文件|发现文档")


def test_the_manual_and_the_web_pages_use_the_same_words() -> None:
    manual = [ROOT / "README.zh.md", *(ROOT / "docs/zh").iterdir()]
    texts = {page.name: page.read_text(encoding="utf-8") for page in manual} | dict(CHINESE)
    found = {name: STRANGE.findall(text) for name, text in texts.items()}
    assert {name: words for name, words in found.items() if words} == {}


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
    # Each README has an init for its readers, and the rest of the block is the same.
    english, chinese = (
        [(language, re.sub("fake-oauth init .*", "", text)) for language, text in page]
        for page in (english, chinese)
    )
    assert [block for block in chinese if block not in english] == []


@pytest.mark.parametrize("page", [README, STUB], ids=["readme", "stub-server"])
def test_init_writes_a_file_for_ciam(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (arguments,) = re.findall(r"^fake-oauth init (.*)$", page, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert main(["init", *shlex.split(arguments)]) == 0
    settings = Settings.from_toml("fake_oauth.toml")
    assert settings.dialect == "ciam"
    assert settings.clients[0].client_id == "TENANT_CLIENT_ID"
    assert settings.refresh_tokens[0].value == "MOCK_REFRESH_TOKEN"


def test_a_link_to_an_english_page_says_so() -> None:
    """The list of all pages in the README has a column for English instead."""
    for page in (README.partition("\n## 文档\n")[0], STUB, TOKEN, TUTORIAL):
        for line in page.splitlines()[4:]:
            links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#:]+\.md)[^)]*\)", line)
            english = [to for to in links if to.startswith(("../", "docs/")) and "zh" not in to]
            assert not english or "（英文）" in line, line


def test_the_control_api_makes_the_errors_that_the_token_page_lists() -> None:
    """Each request makes the next refresh fail, for the reason in its row."""
    rows = re.findall(rf"\| `([A-Z]+) ({PREFIX}/\w+)` \| `(.+)` \| `(.+)` \|$", TOKEN, re.MULTILINE)
    (issue,) = re.findall(r"^curl (.+_fake/tokens.+)$", TOKEN, re.MULTILINE)
    url, _, header, _, body = shlex.split(issue)
    assert len(rows) == 6
    headers = dict([header.split(": ")])
    with FakeOAuth(Settings(control=True, freeze_time=True, start_time=0)) as server:
        for method, path, example, reason in rows:
            issued = httpx.post(server.url + urlsplit(url).path, content=body, headers=headers)
            done = httpx.request(method, server.url + path, content=example, headers=headers)
            assert done.status_code == 200, done.text
            form = {
                "grant_type": "refresh_token",
                "refresh_token": issued.json()["refresh_token"],
                "client_id": "TENANT_CLIENT_ID",
                "client_secret": "TENANT_CLIENT_SECRET",
            }
            assert "error" in httpx.post(server.token_url, data=form).json()
            assert server.journal[-1].reason == reason
            httpx.post(f"{server.url}{PREFIX}/reset", json={}).raise_for_status()


def is_shown(shown: str, output: str) -> bool:
    """Return whether a text shows the output; `…` leaves out lines, or a part of a line."""
    lines = (
        r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in shown.rstrip("\n").split("\n")
    )
    return re.fullmatch("".join(lines), output.rstrip("\r\n").replace("\r", "") + "\n") is not None


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


def in_http(first: str, headers: Mapping[str, str], body: str) -> str:
    return "\n".join([first, *(f"{name}: {value}" for name, value in headers.items()), "", body])


def documented() -> list[Any]:
    """Return the request and the response of each case on the page of the token endpoint."""
    found, request = [], ""
    for language, text in blocks(TOKEN):
        if language == "http":
            request = text
        elif language.startswith("http case="):
            name = language.removeprefix("http case=")
            found.append(pytest.param(name, request, text, id=name))
            request = ""
    return found


@pytest.mark.parametrize(("name", "request_", "response"), documented())
def test_a_documented_request_gets_the_response_that_is_shown(
    name: str, request_: str, response: str
) -> None:
    (case,) = select([name], cases("ciam"))
    target = fake_target()
    with target.prepare(case) as values:
        received = target.send(fill(case.request, values))
    status = HTTPStatus(received.status)
    headers = {"Content-Type": received.fields["content-type"]}
    sent = in_http(f"HTTP/1.1 {status} {status.phrase}", headers, received.body.decode())
    assert is_shown(response, sent), sent
    if request_:
        first = f"{case.request.method} {case.request.path} HTTP/1.1"
        headers = {"Host": "localhost:8080", **case.request.headers}
        assert request_.strip() == in_http(first, headers, (case.request.body or "").strip())


def tables_of_errors() -> list[Any]:
    """Return the example above each table of errors, and the rows of the table."""
    pattern = r"^```python\n([^`]*)^```\n(?:\n[^\n]+\n)?\n\| 原因 [^\n]*\n[^\n]*\n((?:\|.*\n)+)"
    found = []
    for match in re.finditer(pattern, TOKEN, re.MULTILINE):
        rows = re.findall(r"^\| .+ \| (\d.+?) \| `(.+?)` \| `(.+)` \|$", match[2], re.MULTILINE)
        assert len(rows) == len(match[2].splitlines())
        (name,) = re.findall(r"def test_(\w+)", match[1])
        found.append(pytest.param(match[1], rows, id=name))
    assert len(found) == TOKEN.count("\n| 原因 |")
    return found


@pytest.mark.parametrize(("example", "rows"), tables_of_errors())
def test_an_error_happens_as_its_row_says(
    example: str, rows: list[tuple[str, str, str]], pytester: pytest.Pytester
) -> None:
    """Each row has the line that a reader writes into the example, and what comes of it."""
    beginning, _, _ = example.partition(MARK)
    setup, _, function = beginning.rpartition("\n\n\n")
    function = function.rpartition("\n")[0]
    tests = [setup]
    for number, (response, reason, line) in enumerate(rows):
        shown = re.fullmatch(r"(\d+)(?:，响应体为空| `(\w+)`(?:，`(.+)`)?)", response)
        assert shown is not None, response
        expected = (int(shown[1]), shown[2], shown[3], reason)
        posted = "    response = httpx.post(oauth_server.token_url, data=form)\n"
        tests.append(
            f"{function.replace('(oauth_server)', f'_{number}(oauth_server)')}\n"
            f"    {line}\n"
            f"{'' if line.startswith('response = ') else posted}"
            "    body = response.json() if response.content else {}\n"
            '    said = (body.get("error"), body.get("error_description"))\n'
            "    reason = oauth_server.journal[-1].reason\n"
            f"    assert (response.status_code, *said, reason) == {expected!r}\n"
        )
    pytester.makepyfile("\n\n".join(tests))
    result = pytester.runpytest_inprocess("-Werror", *ALONE)
    result.assert_outcomes(passed=len(rows))

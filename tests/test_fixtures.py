"""Every page in fixtures/ holds, in process and over a socket."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from tests.asking import over_socket

PAGES = sorted((Path(__file__).parent.parent / "fixtures").glob("*/*.toml"))
HOLES = {"<jwt>": r"[\w-]+\.[\w-]+\.[\w-]+"}


def pattern(body: str) -> re.Pattern[str]:
    """What a body with holes matches, and nothing else."""
    parts = re.split(r"(<[a-z_]+>)", body)
    return re.compile("".join(HOLES[part] if part in HOLES else re.escape(part) for part in parts))


def holds(page: dict[str, Any], status: int, headers: dict[str, str], body: bytes) -> None:
    expected = page["response"]
    assert expected["status"] == status
    assert expected["headers"] == {name: headers.get(name) for name in expected["headers"]}
    assert str(len(body)) == headers["Content-Length"]
    assert pattern(expected.get("body", "")).fullmatch(body.decode()), body.decode()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("transport", ["in process", "over a socket"])
def test_a_page_holds(path: Path, transport: str) -> None:
    page = tomllib.loads(path.read_text(encoding="utf-8"))
    assert page["title"]
    assert page["source"]
    request = page["request"]
    fake = FakeOAuth(Settings.from_mapping(page.get("given", {})))
    if transport == "in process":
        response = WSGIClient(fake).open(
            request["path"],
            method=request["method"],
            headers=request["headers"],
            data=request["body"],
        )
        holds(page, response.status_code, dict(response.headers), response.data)
    else:
        with fake as server:
            answer = over_socket(
                server, request["method"], request["path"], request["body"], request["headers"]
            )
        holds(page, *answer)


def test_there_are_pages() -> None:
    assert {path.stem for path in PAGES} >= {
        "refresh_token.success",
        "refresh_token.invalid_grant",
    }


def test_a_page_that_differs_in_one_byte_does_not_hold() -> None:
    assert pattern('{ "a" : "<jwt>" }').fullmatch('{ "a" : "x.y.z" }')
    assert not pattern('{ "a" : "<jwt>" }').fullmatch('{ "a": "x.y.z" }')
    assert not pattern('{ "a" : "<jwt>" }').fullmatch('{ "a" : "x.y" }')

"""The languages of the pages: which one is chosen, and that no text is missing in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

import fake_oauth.http
from fake_oauth.dialects import DIALECTS
from fake_oauth.http.device import TRY_AGAIN
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.http.languages import CHINESE, preferred, translated
from fake_oauth.http.login import CHOOSE
from fake_oauth.provider.errors import Cause

HTTP = Path(fake_oauth.http.__file__).parent
# Why a user cannot log in: the dialect's words, which the pages show.
OF_DIALECTS: tuple[Cause, ...] = ("password", "user_unknown", "user_inactive")


def in_templates() -> Iterator[str]:
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    environment.policies["ext.i18n.trimmed"] = True
    for template in (HTTP / "templates").iterdir():
        source = template.read_text(encoding="utf-8")
        for _, _, message in environment.extract_translations(source):  # type: ignore[attr-defined]
            if isinstance(message, str):
                yield message


def in_code() -> Iterator[str]:
    for module in HTTP.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Text":
                yield ast.literal_eval(node.args[0])


def in_tables() -> Iterator[str]:
    yield from (CHOOSE, TRY_AGAIN)
    yield from (row.summary for row in ENDPOINTS.values())
    for dialect in DIALECTS.values():
        yield from (dialect.texts[cause].description for cause in OF_DIALECTS)


def every_text() -> set[str]:
    return {*in_templates(), *in_code(), *in_tables()}


def test_every_text_has_a_chinese_one_and_no_other_is_kept() -> None:
    assert set(CHINESE) - every_text() == set(), "no page shows these"
    assert every_text() - set(CHINESE) == set(), "these are English on a Chinese page"


def test_every_text_is_found() -> None:
    assert "This login is over" in set(in_templates()), "{% trans %} in a template"
    assert "your user ID" in set(in_templates()), "_() in a template"
    assert "The redirect URI is not registered" in set(in_code()), "Text() in a module"


@pytest.mark.parametrize("english", CHINESE)
def test_a_chinese_text_has_the_same_values_and_tags(english: str) -> None:
    chinese, parts = CHINESE[english], r"%\(\w+\)s|</?(?:strong)>"
    assert sorted(re.findall(parts, chinese)) == sorted(re.findall(parts, english))
    assert len(re.findall("<code[ >]", chinese)) == chinese.count("</code>")
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", english), "x")
    assert chinese % values, "no % is alone"


@pytest.mark.parametrize("english", CHINESE)
def test_a_chinese_text_has_chinese_punctuation(english: str) -> None:
    chinese = re.sub(r"<[^>]+>|%\(\w+\)s", "", CHINESE[english])
    assert re.findall(r"[\u4e00-\u9fff] ?[:;,.?!()]|[:;,.?!()] ?[\u4e00-\u9fff]", chinese) == []


@pytest.mark.parametrize(
    ("ui_locales", "accept_language", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        (None, "en-US,en;q=0.9,zh;q=0.8", "en"),
        (None, "en;q=0.5, zh-TW", "zh-CN"),
        (None, "fr-FR, zh;q=0.4, en;q=0.3", "zh-CN"),
        (None, "ZH-hans-SG", "zh-CN"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "zh;q=0", "en"),
        (None, "*", "en"),
        (None, "fr", "en"),
        (None, "zhx", "en"),
        (None, "<script>;q=x,,;,zh", "zh-CN"),
        (None, "x," * 1000 + "zh", "en"),
        ("zh-CN en", None, "zh-CN"),
        ("en zh", "zh-CN", "en"),
        ("fr-CA zh", "en", "zh-CN"),
        ("fr", "zh-CN", "zh-CN"),
        ("", "zh-CN", "zh-CN"),
        ("x " * 1000 + "zh", "en", "en"),
    ],
)
def test_the_client_chooses_before_the_browser(
    ui_locales: str | None, accept_language: str | None, language: str
) -> None:
    assert preferred(ui_locales, accept_language) == language


def test_a_text_of_a_dialect_of_ones_own_stays_as_it_is() -> None:
    assert translated("zh-CN", "Computer says no: 100%") == "Computer says no: 100%"
    assert translated("zh-CN", "Log in") == "登录"
    assert translated("en", "Log in") == "Log in"

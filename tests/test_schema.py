"""The JSON Schema of a settings file: it accepts what `Settings` accepts, and refuses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.faults.kinds import KINDS
from fake_oauth.schema import settings_schema

ROOT = Path(__file__).parent.parent
SCHEMA = settings_schema()
DEFINITIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    # Editors that know no later draft read the same keywords.
    Draft7Validator.check_schema(SCHEMA)


def test_the_printed_schema_is_the_one_in_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == SCHEMA
    message = "print it again: fake-oauth schema > docs/settings.schema.json"
    assert (ROOT / "docs/settings.schema.json").read_text(encoding="utf-8") == printed, message


def test_the_control_api_returns_the_schema() -> None:
    fake = FakeOAuth(Settings(control=True))
    assert WSGIClient(fake).get("/_fake/schema").json == SCHEMA


def test_each_fault_that_data_can_hold_has_a_definition() -> None:
    names = [name for name in KINDS if name != "Change"]
    assert DEFINITIONS["Step"]["properties"]["fault"]["enum"] == names
    for name in names:
        definition = DEFINITIONS[name]
        assert definition["title"] == name
        assert definition["description"] == (KINDS[name].__doc__ or "").partition("\n")[0]
        assert definition["properties"]["fault"]["const"] == name
        assert definition["x-stage"] == KINDS[name].stage
    assert DEFINITIONS["Refuse"]["required"] == ["fault", "error"]
    assert "Change" not in DEFINITIONS
    assert "when" not in DEFINITIONS["Conditions"]["properties"]

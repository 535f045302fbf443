"""A right server has no differences: its users, scopes, and lifetimes are its decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from fake_oauth import ALL_POLICIES, Client, FakeOAuth, Settings, User
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import cases
from fake_oauth.contract.client import WSGITransport
from fake_oauth.contract.runner import run
from fake_oauth.contract.targets import ServerTarget
from fake_oauth.dialects import DIALECTS

REDIRECT_URI = "https://app.example/callback?from=tenant"


def client(**more: Any) -> Client:
    own: dict[str, Any] = {"scopes": ["api", "openid", "profile"], "redirect_uris": [REDIRECT_URI]}
    return Client(**{"client_id": "web", "client_secret": "s3cret-s3cret", **own, **more})


ALICE = User(sub="u-1", username="alice", password="wonderland")
# Only their values differ from the documented ones.
NAMED: dict[str, dict[str, Any]] = {
    "with another client and user": {},
    "with names that are quoted in JSON and in forms": {
        "clients": [client(client_id='a "b"&c=d', client_secret="\\ü:+/%")],
        "users": [User(sub='u"1\\', username="ü & co", password='p"w=&')],
    },
    "with the documented user under another name": {
        "users": [User(sub="MOCK_USERNAME", username="alice", password="wonderland")],
    },
}
RIGHT: dict[str, dict[str, Any]] = {
    **NAMED,
    "with other lifetimes": {"access_token_seconds": 60, "id_token_seconds": 7, "code_seconds": 9},
    "with more claims": {
        "clients": [client(extra_claims={"tenant": "t-1"})],
        "users": [User(sub="u-1", username="alice", password="pw", claims={"name": "Alice"})],
    },
    "with another issuer": {"issuer": "https://id.example/tenant"},
    "in the layout of the other dialect": {"compact_json": True},
    "with indented JSON": {"compact_json": False},
    **{f"with the policy {name}": {"refresh_policy": name} for name in ALL_POLICIES},
}


def settings(dialect: str, changes: Mapping[str, Any]) -> Settings:
    own = Settings(dialect=DIALECTS[dialect], clients=[client()], users=[ALICE], refresh_tokens=[])
    return own.changed(**changes)


def values_of(fake: FakeOAuth) -> dict[str, str]:
    """Return what a person knows of a server, and tokens."""
    (own,), (user,) = fake.settings.clients, fake.settings.users
    tokens = fake.issue_tokens()
    return {
        "client_id": own.client_id,
        "client_secret": own.client_secret or "",
        "redirect_uri": REDIRECT_URI,
        "username": user.username or user.sub,
        "sub": user.sub,
        "password": user.password or "",
        "refresh_token": tokens.refresh_token or "",
        "access_token": tokens.access_token,
        "code": fake.issue_code(redirect_uri=REDIRECT_URI),
    }


# The documented response of CIAM to a refresh has a refresh token.
WITHOUT_TOKEN = {
    f"with the policy {name}" for name, one in ALL_POLICIES.items() if not one.return_unchanged
}


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        (name, dialect)
        for dialect in DIALECTS
        for name in RIGHT
        if dialect != "ciam" or name not in WITHOUT_TOKEN
    ],
)
def test_a_right_server(name: str, dialect: str) -> None:
    for has_scope in (True, False):
        fake = FakeOAuth(settings(dialect, RIGHT[name]))
        values = values_of(fake)
        if has_scope:
            offline = " offline_access" if dialect == "mcp" else ""
            values["scope"] = f"profile openid api{offline}"
        else:
            del values["sub"]
        target = ServerTarget(WSGITransport(fake), values, DIALECTS[dialect], spends=True)
        outcomes = {one.case.name: one for one in run(cases(dialect), target)}
        assert {n: one.differences for n, one in outcomes.items() if one.differences} == {}
        matching = {name for name, one in outcomes.items() if one.verdict == "matches"}
        granted = {"refresh_token.success", "authorization_code.success", "revoke.success"}
        assert matching >= granted & outcomes.keys()
        assert "refresh_token.success" in matching


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMED)
def test_a_fake_with_other_values_matches_byte_for_byte(
    name: str, dialect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeOAuth(settings(dialect, {**NAMED[name], "control": True})) as server:
        assert main(["check", server.url]) == 0, capsys.readouterr().out
        user = server.settings.users[0].username
        spending = ["check", server.url, "--spend", "--value", f"username={user}"]
        assert main(spending) == 0, capsys.readouterr().out
        assert re.search(r"refresh_token\.success +matches", capsys.readouterr().out)

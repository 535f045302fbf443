"""A right server is blamed for nothing: its users, scopes and lifetimes are its own affair."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from fake_oauth import ALL_POLICIES, Client, FakeOAuth, Settings, User
from fake_oauth.__main__ import main
from fake_oauth.contract.hosts import Foreign
from fake_oauth.contract.pages import pages
from fake_oauth.contract.running import run
from fake_oauth.contract.transports import InProcess
from fake_oauth.contract.values import values_of
from fake_oauth.dialects import DIALECTS
from fake_oauth.structuring import unstructured

REDIRECT_URI = "https://app.example/callback?from=tenant"


def client(**more: Any) -> Client:
    own: dict[str, Any] = {"scopes": ["api", "openid", "profile"], "redirect_uris": [REDIRECT_URI]}
    return Client(**{"client_id": "web", "client_secret": "s3cret-s3cret", **own, **more})


ALICE = User(sub="u-1", username="alice", password="wonderland")
# Those whose values are all that is other than documented.
NAMED: dict[str, dict[str, Any]] = {
    "of somebody else": {},
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
    "in the layout of the other": {"compact_json": True},
    "that lays out": {"compact_json": False},
    **{f"with the policy {name}": {"refresh_policy": name} for name in ALL_POLICIES},
}


def settings(dialect: str, changes: Mapping[str, Any]) -> Settings:
    own = Settings(dialect=DIALECTS[dialect], clients=[client()], users=[ALICE], refresh_tokens=[])
    return own.changed(**changes)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_server(name: str, dialect: str) -> None:
    fake = FakeOAuth(settings(dialect, RIGHT[name]))
    tokens = fake.issue()
    given = {
        **values_of(
            *(unstructured(one[0]) for one in (fake.settings.clients, fake.settings.users))
        ),
        "refresh_token": tokens.refresh_token or "",
        "access_token": tokens.access_token,
        "code": fake.issue_code(redirect_uri=REDIRECT_URI),
    }
    with_scope = {**given, "scope": "profile openid api"}
    without = {name: value for name, value in given.items() if name != "sub"}
    for values in (with_scope, without):
        host = Foreign(InProcess(fake), values, dialect=DIALECTS[dialect], spends=True)
        outcomes = {one.page.name: one for one in run(pages(dialect), host)}
        assert {n: one.differences for n, one in outcomes.items() if one.differences} == {}
        held = {name for name, one in outcomes.items() if one.verdict == "holds"}
        assert held >= {"refresh_token.success", "authorization_code.success", "revoke.success"}
        fake.start_over(fake.settings)  # What was spent is there again, under other names.
        tokens = fake.issue()
        without |= {
            "refresh_token": tokens.refresh_token or "",
            "access_token": tokens.access_token,
            "code": fake.issue_code(redirect_uri=REDIRECT_URI),
        }


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMED)
def test_a_fake_with_values_of_its_own_is_right_to_the_byte(
    name: str, dialect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeOAuth(settings(dialect, {**NAMED[name], "control": True})) as server:
        assert main(["check", server.url]) == 0, capsys.readouterr().out
        user = server.settings.users[0].username
        spending = ["check", server.url, "--spend", "--value", f"username={user}"]
        assert main(spending) == 0, capsys.readouterr().out
        assert re.search(r"refresh_token\.success +holds", capsys.readouterr().out)

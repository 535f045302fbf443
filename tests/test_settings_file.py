"""Settings as a file: what is written can be read back, and what cannot be written is named."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fake_oauth import (
    AuthSource,
    Client,
    Dialect,
    FakeOAuth,
    PreconfiguredRefreshToken,
    ProtectedResource,
    RefreshPolicy,
    Settings,
    SigningKey,
    TrustedIssuer,
    User,
    faults,
)
from fake_oauth.dialects import RFC
from fake_oauth.faults import Fault, Rule
from fake_oauth.faults.tables import plain
from fake_oauth.settings_file import to_toml
from tests.test_control import control_of, members
from tests.test_faults import CASES


class Shop(Dialect):
    """A dialect that a file can name."""

    name = "shop"


def comparable(value: Any) -> Any:
    """Return settings as plain data: lists and tuples are equal, and so are bare faults."""
    if isinstance(value, Fault):
        return comparable(Rule(value))
    if isinstance(value, Rule):
        return plain(value)
    if is_dataclass(value):
        return {field.name: comparable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: comparable(member) for name, member in value.items()}
    return [comparable(item) for item in value] if isinstance(value, list | tuple) else value


def read_back(text: str, folder: Path) -> Settings:
    path = folder / "fake.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_toml(path)


RSA_PEM = files("fake_oauth.provider").joinpath("pem", "signing.pem").read_text()
FAULTS = [fault for fault, _ in CASES if not isinstance(fault, faults.Change | faults.Field)]
# Any text that a file can have, with what has a meaning in TOML more often.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.text(st.sampled_from("\"'\\\n\r\t\x00\x7f#=[]{}., \u2028é"), min_size=1, max_size=20),
).filter(str.strip)
WORD = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(TEXT, JSON, max_size=3)
SECONDS = st.none() | st.integers(1, 10**9)
POLICIES = st.sampled_from(["rotate", "okta", "rfc9700"]) | st.builds(
    RefreshPolicy,
    rotate=st.just(value=True),
    on_replay=st.sampled_from(["refuse", "revoke"]),
    rotate_after_seconds=st.integers(0, 10**9),
    end_old_access_tokens=st.booleans(),
    grace_seconds=st.floats(0, 1e6),
    grace_gives=st.sampled_from(["sibling", "successor", "access_token"]),
    max_families=st.none() | st.integers(1, 1000),
    idle_seconds=SECONDS,
    public=st.none() | st.builds(RefreshPolicy, idle_seconds=SECONDS),
)
CLIENTS = st.builds(
    Client,
    client_id=TEXT,
    client_secret=st.none() | TEXT,
    name=st.none() | TEXT,
    scopes=st.lists(WORD, max_size=3, unique=True),
    redirect_uris=st.lists(st.just("https://web.example/cb"), max_size=1),
    access_token_seconds=SECONDS,
    refresh_policy=st.none() | POLICIES,
    extra_claims=CLAIMS,
    enabled=st.booleans(),
)
USERS = st.builds(
    User, sub=TEXT, username=st.none() | TEXT, password=st.none() | TEXT, claims=CLAIMS
)
ZONES = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001
SETTINGS = st.builds(
    Settings,
    clients=st.lists(CLIENTS, max_size=2, unique_by=lambda client: client.client_id),
    users=st.lists(USERS, max_size=2, unique_by=lambda user: user.sub),
    refresh_tokens=st.lists(
        st.builds(PreconfiguredRefreshToken, value=TEXT, lifetime_seconds=SECONDS), max_size=1
    ),
    auth_sources=st.lists(
        st.builds(AuthSource, id=TEXT, kind=st.sampled_from(["sms", "password"])), max_size=1
    ),
    trusted_issuers=st.lists(st.builds(TrustedIssuer, issuer=TEXT), max_size=1),
    keys=st.sampled_from([(), (SigningKey(pem=RSA_PEM, kid="é\n"),), (SigningKey(alg="ES256"),)]),
    ids=st.dictionaries(st.sampled_from(["jti", "code"]), st.lists(WORD, max_size=2, unique=True)),
    start_time=st.none() | MOMENTS | st.floats(0, 1e10) | st.integers(0, 10**10),
    refresh_policy=st.none() | POLICIES,
    seed=st.none() | st.integers(),
    cors_origins=st.lists(st.sampled_from(["*", "https://app.example"]), max_size=2),
    freeze_time=st.booleans(),
    resource_skew_seconds=st.floats(-1e6, 1e6),
    resources=st.lists(st.builds(ProtectedResource, path=st.just("/files"), name=TEXT), max_size=1),
    faults=st.lists(st.sampled_from(FAULTS), max_size=2),
    client_documents=st.dictionaries(st.just("https://app.example/id"), CLAIMS, max_size=1),
    read_client_documents=st.just(value=True),
)


@given(made=SETTINGS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, made: Settings
) -> None:
    assume(not made.problems())
    text = to_toml(made)
    assert "Left out" not in text
    assert comparable(read_back(text, tmp_path_factory.mktemp("x"))) == comparable(made)


def test_only_what_differs_from_the_defaults_is_written(tmp_path: Path) -> None:
    assert tomllib.loads(to_toml(Settings())) == {}
    assert comparable(read_back(to_toml(Settings()), tmp_path)) == comparable(Settings())
    documented = Settings.documented()
    assert comparable(read_back(to_toml(documented), tmp_path)) == comparable(documented)
    made = Settings(clients=(), users=(), refresh_tokens=(), refresh_policy="rotate")
    assert tomllib.loads(to_toml(made)) == {
        "clients": [],
        "users": [],
        "refresh_tokens": [],
        "refresh_policy": "rotate",
    }


def test_lists_tables_and_a_date_time_are_written(tmp_path: Path) -> None:
    scope = faults.Field("scope", ["openid", {"name": ["email"]}])
    made = Settings(
        dialect="rfc",
        start_time=datetime(2026, 11, 26, 12, tzinfo=timezone(timedelta(hours=8))),
        faults=[faults.Field("aud", ["a", "b"]), faults.Combined([scope, faults.Expired(5)])],
    )
    assert comparable(read_back(to_toml(made), tmp_path)) == comparable(made)


def test_the_path_of_a_key_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pem").write_text(RSA_PEM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = to_toml(Settings(keys=[SigningKey(path="key.pem")]))
    (tmp_path / "below").mkdir()
    (key,) = read_back(text, tmp_path / "below").keys
    assert key.path == str(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("rfc", "rfc"),
        (RFC, "rfc"),
        (RFC(), "rfc"),
        (Shop, "tests.test_settings_file:Shop"),
        (Shop(), "tests.test_settings_file:Shop"),
    ],
)
def test_a_dialect_is_written_by_name(tmp_path: Path, dialect: Any, name: str) -> None:
    text = to_toml(Settings(dialect=dialect))
    assert read_back(text, tmp_path).dialect == name


def left_out(made: Settings) -> list[str]:
    text = to_toml(made)
    tomllib.loads(text)
    return [line for line in text.splitlines() if line.startswith("# Left out: ")]


def test_what_toml_does_not_have_is_left_out_and_named(tmp_path: Path) -> None:
    class Local(Dialect):
        name = "local"

    made = Settings(
        dialect=Local,
        users=[User(sub="a", claims={"x": None, "y": [1, None], "z": {"\n": None, "ok": 1}})],
        faults=[
            Rule(faults.Status(503), when=lambda _: True),
            faults.Change(lambda response: response),
            faults.Field("x", None),
            faults.Status(503, {"a": {"\ud800": 1}}),
            faults.Combined([faults.Field("x", [None]), faults.EmptyBody()]),
            faults.Status(500),
        ],
    )
    is_not = "which TOML does not have"
    name = f"{Local.__qualname__}"
    assert left_out(made) == [
        f"# Left out: {line}, {is_not}"
        for line in (
            f"dialect is the class {name}",
            "users[0].claims.x is null",
            "users[0].claims.y[1] is null",
            "users[0].claims.z.\\n is null",
            "faults[0] is the function <lambda>",
            "faults[1] is the function <lambda>",
            "faults[2] is null",
            "faults[3] is a text that is not Unicode",
            "faults[4] is null",
        )
    ]
    found = read_back(to_toml(made), tmp_path)
    assert found.users[0].claims == {"y": [1], "z": {"ok": 1}}
    assert found.faults == (Rule(faults.Status(500)),)


def test_a_text_that_is_not_unicode_is_left_out(tmp_path: Path) -> None:
    made = Settings(users=[User(sub="a", password="\ud800", claims={"\ud800": 1})])
    assert left_out(made) == [
        "# Left out: users[0].password is a text that is not Unicode, which TOML does not have",
        "# Left out: users[0].claims.\\ud800 is a text that is not Unicode, which TOML does not "
        "have",
    ]
    assert read_back(to_toml(made), tmp_path).users == (User(sub="a"),)


def test_the_control_api_returns_the_settings_as_they_are_now(tmp_path: Path) -> None:
    fake = FakeOAuth(Settings(control=True, seed=3))
    fake.replace_users([User(sub="u-bob")])
    fake.freeze_user("u-bob")
    fake.replace_clients([Client(client_id="web", client_secret="s")])
    text = members(control_of(fake)("GET", "/settings"))["toml"]
    found = read_back(text, tmp_path)
    assert comparable(found) == comparable(fake.settings)
    assert found.users == (User(sub="u-bob", status="frozen"),)
    assert FakeOAuth(Settings.from_mapping(tomllib.loads(text)))

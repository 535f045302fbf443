"""Settings in Python and TOML: the same names, and every problem at once."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.test import Client as WSGIClient

from fake_oauth import (
    AuthSource,
    Client,
    FakeOAuth,
    FakeOAuthError,
    PreconfiguredRefreshToken,
    Settings,
    SettingsError,
    SigningKey,
    User,
)
from tests.support.pem import pem_of

PEM = Path(__file__).parent.parent / "fake_oauth" / "provider" / "pem" / "stranger.pem"

FULL = """
seed = 7
issuer = "https://issuer.example"
start_time = 2021-11-09T09:13:51Z
freeze_time = true
compact_json = true
journal_limit = 5
access_token_seconds = 60

[ids]
jti = ["j1", "j2"]

[[users]]
sub = "u-alice"
username = "alice"
[users.claims]
name = "Alice"
address = { country = "SE" }

[[clients]]
client_id = "web"
client_secret = "s3cret"
grant_types = ["refresh_token"]
scopes = ["openid"]
refresh_policy = "rotate"
token_endpoint_auth_methods = ["client_secret_basic"]
extra_claims = { tenant = 7 }

[[clients]]
client_id = "app"
enabled = false

[[refresh_tokens]]
value = "MOCK_REFRESH_TOKEN"
client = "web"
user = "alice"
scope = "openid"
lifetime_seconds = 60

[[keys]]
kid = "first"

[[keys]]
path = "own.pem"
"""


def problems(data: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(data)
    return [str(problem) for problem in caught.value.problems]


def python_problems(**changes: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(**changes))
    return [str(problem) for problem in caught.value.problems]


def test_a_file_says_the_same_as_python(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_bytes(PEM.read_bytes())
    (tmp_path / "fake.toml").write_text(FULL, encoding="utf-8")
    settings = Settings.from_toml(tmp_path / "fake.toml")
    assert settings == Settings(
        seed=7,
        issuer="https://issuer.example",
        start_time=datetime(2021, 11, 9, 9, 13, 51, tzinfo=UTC),
        freeze_time=True,
        compact_json=True,
        journal_limit=5,
        access_token_seconds=60,
        ids={"jti": ("j1", "j2")},
        users=(
            User(
                sub="u-alice",
                username="alice",
                claims={"name": "Alice", "address": {"country": "SE"}},
            ),
        ),
        clients=(
            Client(
                client_id="web",
                client_secret="s3cret",
                grant_types=("refresh_token",),
                scopes=("openid",),
                refresh_policy="rotate",
                token_endpoint_auth_methods=("client_secret_basic",),
                extra_claims={"tenant": 7},
            ),
            Client(client_id="app", enabled=False),
        ),
        refresh_tokens=(
            PreconfiguredRefreshToken(
                value="MOCK_REFRESH_TOKEN",
                client="web",
                user="alice",
                scope="openid",
                lifetime_seconds=60,
            ),
        ),
        keys=[SigningKey(kid="first"), SigningKey(path=str(tmp_path / "own.pem"))],
    )
    assert FakeOAuth(settings).clock.now() == 1636449231


def test_an_empty_file_is_the_defaults() -> None:
    assert Settings.from_mapping({}) == Settings(keys=[])


def test_every_problem_is_told_at_once_with_its_path_and_a_hint() -> None:
    data = {
        "seed": "x",
        "isuer": "https://issuer.example",
        "start_time": datetime(2021, 11, 9),  # noqa: DTZ001
        "clients": [
            {"client_id": "web", "redirect_uri": "x", "scopes": "openid"},
            {"client_id": "app", "access_token_seconds": 0, "enabled": 1},
        ],
        "users": [{"sub": "alice", "claims": {"born": datetime(1990, 1, 1, tzinfo=UTC)}}],
        "ids": {"jti": ["a", 3]},
    }
    assert problems(data) == [
        "$.seed: expected a whole number, got 'x'",
        "$.clients[0].scopes: expected a list, got 'openid'",
        "$.clients[0].redirect_uri: unknown key; did you mean 'redirect_uris'?",
        "$.clients[1].enabled: expected true or false, got 1",
        "$.ids.jti[1]: expected a string, got 3",
        "$.isuer: unknown key; did you mean 'issuer'?",
        "$.start_time: 2021-11-09T00:00:00 has no time zone; write 2021-11-09T00:00:00Z in TOML, "
        "or pass a datetime with a tzinfo",
        "$.clients[1].access_token_seconds: expected at least 1 second, got 0",
        "$.users[0].claims.born: JSON cannot represent "
        "datetime.datetime(1990, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (3, ["$: expected a table, got 3"]),
        ({"clients": [3]}, ["$.clients[0]: expected a table, got 3"]),
        ({"clients": {"web": {}}}, ["$.clients: expected a list, got {'web': {}}"]),
        (
            {"clients": [{"client_secret": 3}]},
            [
                "$.clients[0].client_id: required, but missing",
                "$.clients[0].client_secret: expected a string, got 3",
            ],
        ),
        ({"seed": True}, ["$.seed: expected a whole number, got True"]),
        (
            {"start_time": "now"},
            ["$.start_time: expected a number or a date-time, got 'now'"],
        ),
        ({"ids": 3}, ["$.ids: expected a table, got 3"]),
        (
            {"ids": {"jit": ["x"]}},
            ["$.ids.jit: unknown value 'jit'; did you mean 'jti'?"],
        ),
        (
            {"clients": [{"client_id": "a", "token_endpoint_auth_methods": ["none"]}]},
            [
                "$.clients[0].token_endpoint_auth_methods[0]: a public client has no secret; leave "
                "client_secret and this out"
            ],
        ),
    ],
)
def test_a_value_of_the_wrong_kind(data: Any, expected: list[str]) -> None:
    assert problems(data) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"issuer": "issuer.example"},
            "$.issuer: expected an http or https URL without query and fragment, "
            "got 'issuer.example'",
        ),
        (
            {"issuer": "https://issuer.example?x"},
            "$.issuer: expected an http or https URL without query and fragment, "
            "got 'https://issuer.example?x'",
        ),
        (
            {"issuer": "https://issuer\ud800.example"},
            "$.issuer: expected an http or https URL without query and fragment, "
            "got 'https://issuer\\ud800.example'",
        ),
        ({"journal_limit": 0}, "$.journal_limit: expected at least 1, got 0"),
        (
            {"refresh_token_seconds": 0},
            "$.refresh_token_seconds: expected at least 1 second, got 0",
        ),
        (
            {"refresh_token_seconds": 10**400},
            "$.refresh_token_seconds: expected at most 1000000000000 seconds, got more",
        ),
        (
            {"resource_skew_seconds": 10**400},
            "$.resource_skew_seconds: expected a number from -9223372036854775807 to "
            "9223372036854775807, got 1329 bits",
        ),
        (
            {"start_time": -1},
            "$.start_time: cannot set the clock to -1.0; expected 0 (the year 1970) "
            "to 253402300799 (the year 9999)",
        ),
        ({"ids": {"jti": ["a", "a"]}}, "$.ids.jti: value 'a' is listed more than once"),
        (
            {"keys": [SigningKey(), SigningKey(), SigningKey()]},
            "$.keys: expected at most 2 keys, the signing key and the next one, got 3",
        ),
        (
            {"clients": [{"client_id": "web"}]},
            "$.clients[0]: expected a Client, got {'client_id': 'web'}",
        ),
        (
            {"clients": [Client(client_id="TENANT_CLIENT_ID")] * 2},
            "$.clients: client_id 'TENANT_CLIENT_ID' is listed more than once",
        ),
        ({"clients": [Client(client_id=" ")]}, "$.clients[0].client_id: blank"),
        (
            {"clients": [Client(client_id="a", client_secret="")]},
            "$.clients[0].client_secret: blank; leave it out for a public client",
        ),
        (
            {"clients": [Client(client_id="a", grant_types="refresh_token")]},
            "$.clients[0].grant_types: expected a list, got 'refresh_token'",
        ),
        (
            {"clients": [Client(client_id="a", scopes=["openid email"])]},
            "$.clients[0].scopes: expected one word per scope, got 'openid email'",
        ),
        (
            {"clients": [Client(client_id="a", grant_types=["refresh"])]},
            "$.clients[0].grant_types: unknown name 'refresh'; did you mean 'refresh_token'?",
        ),
        (
            {"clients": [Client(client_id="a", id_token_seconds=-1)]},
            "$.clients[0].id_token_seconds: expected at least 1 second, got -1",
        ),
        (
            {"clients": [Client(client_id="a", extra_claims={"x": [1.5, float("inf")]})]},
            "$.clients[0].extra_claims.x[1]: JSON cannot represent inf",
        ),
        ({"users": [User(sub="")]}, "$.users[0].sub: blank"),
        (
            {"users": [User(sub="a", username=" ")]},
            "$.users[0].username: blank; leave it out",
        ),
        (
            {"users": [User(sub="a"), User(sub="b", username="a")]},
            "$.users: username 'a' is listed more than once",
        ),
        (
            {"users": []},
            "$.refresh_tokens[0].user: no user is defined; add one, or set refresh_tokens = []",
        ),
        (
            {"clients": []},
            "$.refresh_tokens[0].client: no client is defined; add one, or set refresh_tokens = []",
        ),
        (
            {"clients": [Client(client_id="a", redirect_uris=["/callback"])]},
            "$.clients[0].redirect_uris: expected an absolute URI without fragment, "
            "got '/callback'",
        ),
        (
            {"clients": [Client(client_id="a", auth_sources=["b"])], "auth_sources": []},
            "$.clients[0].auth_sources: unknown name 'b'; none is defined",
        ),
        (
            {"auth_sources": [AuthSource(id=" ", kind="sms")]},
            "$.auth_sources[0].id: blank",
        ),
        (
            {"auth_sources": [AuthSource(id="a", kind="sms", otp_digits=0)]},
            "$.auth_sources[0].otp_digits: expected 1 to 20, got 0",
        ),
        (
            {"auth_sources": [AuthSource(id="a", kind="sms", quota=-1)]},
            "$.auth_sources[0].quota: expected at least 0, got -1",
        ),
        (
            {"auth_sources": [AuthSource(id="a", kind="sms", refused="x@example.com")]},
            "$.auth_sources[0].refused: expected a list, got 'x@example.com'",
        ),
        (
            {"auto_login": "MOCK_USER"},
            "$.auto_login: unknown name 'MOCK_USER'; did you mean 'MOCK_USERNAME'?",
        ),
        ({"cors_origins": "*"}, "$.cors_origins: expected a list, got '*'"),
        ({"session_seconds": 0}, "$.session_seconds: expected at least 1 second, got 0"),
        ({"request_uri_seconds": 0}, "$.request_uri_seconds: expected at least 1 second, got 0"),
        (
            {"refresh_tokens": [PreconfiguredRefreshToken(value="")]},
            "$.refresh_tokens[0].value: blank",
        ),
        (
            {"refresh_tokens": [PreconfiguredRefreshToken(value="a", lifetime_seconds=0)]},
            "$.refresh_tokens[0].lifetime_seconds: expected at least 1 second, got 0",
        ),
        (
            {"refresh_tokens": [PreconfiguredRefreshToken(value="a", client="TENANT")]},
            "$.refresh_tokens[0].client: unknown name 'TENANT'; expected one of 'TENANT_CLIENT_ID'",
        ),
        (
            {"refresh_tokens": [PreconfiguredRefreshToken(value="a", user="MOCK_USER")]},
            "$.refresh_tokens[0].user: unknown name 'MOCK_USER'; did you mean 'MOCK_USERNAME'?",
        ),
        (
            {"refresh_tokens": [PreconfiguredRefreshToken(value="a", scope="openid email")]},
            "$.refresh_tokens[0].scope: unknown name 'email'; expected one of 'openid'",
        ),
    ],
)
def test_a_value_that_cannot_be_used(changes: dict[str, Any], expected: str) -> None:
    assert expected in python_problems(**changes)


def test_a_reference_is_not_judged_by_a_part_that_is_wrong() -> None:
    data = {"clients": [{"client_id": "web", "scope": ["x"]}], "refresh_tokens": [{"value": "R"}]}
    assert len(problems(data)) == 1


def test_a_key_that_cannot_sign_is_a_problem(tmp_path: Path) -> None:
    rsa = load_pem_private_key(PEM.read_bytes(), None)
    wrong = {
        "no PEM": "not a private key in PEM format",
        pem_of(ec.generate_private_key(ec.SECP521R1())): (
            "a key of kind EC secp521r1 cannot sign JWTs here"
        ),
        pem_of(rsa, password=b"x"): (
            "the key is encrypted; decrypt it first: openssl pkey -in KEY -out PLAIN"
        ),
    }
    for pem, message in wrong.items():
        assert python_problems(keys=[SigningKey(pem=pem)]) == [f"$.keys[0].pem: {message}"]
    missing = tmp_path / "no.pem"
    assert python_problems(keys=[SigningKey(path=str(missing))]) == [
        f"$.keys[0].path: cannot read {str(missing)!r}: No such file or directory"
    ]
    assert python_problems(
        keys=[SigningKey(path=str(PEM), pem=PEM.read_text(encoding="utf-8"))]
    ) == ["$.keys[0].pem: expected pem or path, got both"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alg": "ES384"}, "no shipped key can sign ES384; set pem or path"),
        ({"alg": "HS256"}, "unknown algorithm 'HS256'; did you mean 'RS256'?"),
        ({"path": str(PEM), "alg": "EdDSA"}, "a key of kind RSA cannot sign EdDSA; it can sign "),
    ],
)
def test_a_key_must_fit_its_algorithm(changes: dict[str, str], message: str) -> None:
    (problem,) = python_problems(keys=[SigningKey(**changes)])
    assert problem.partition(": ")[2].startswith(message)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (Ed25519PrivateKey.generate(), "EdDSA"),
        (load_pem_private_key(PEM.read_bytes(), None), "PS256"),
        (load_pem_private_key(PEM.read_bytes(), None), "RS512"),
    ],
)
def test_a_custom_key_signs_with_its_algorithm(key: Any, alg: str) -> None:
    made = SigningKey(pem=pem_of(key), kid="mine", alg=alg)
    fake = FakeOAuth(Settings(keys=[made], seed=0, start_time=0, freeze_time=True))
    token = fake.issue_tokens().access_token
    published = WSGIClient(fake).get("/oauth2/jwks").get_json()
    (jwk,) = jwt.PyJWKSet.from_dict(published).keys
    options: Any = {"verify_exp": False, "verify_aud": False, "verify_nbf": False}
    assert jwt.decode(token, jwk, algorithms=[alg], options=options)["sub"] == "MOCK_USERNAME"
    assert jwt.get_unverified_header(token)["alg"] == alg
    document = WSGIClient(fake).get("/.well-known/openid-configuration").get_json()
    assert document["id_token_signing_alg_values_supported"][0] == alg
    headers = {"Authorization": f"Bearer {token}"}
    assert WSGIClient(fake).get("/userinfo", headers=headers).status_code == 200
    again = FakeOAuth(Settings(keys=[made], seed=0, start_time=0, freeze_time=True))
    assert again.issue_tokens().access_token == token


def test_a_file_that_is_not_there_or_is_no_toml(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(SettingsError, match=r"no.toml: No such file or directory"):
        Settings.from_toml(missing)
    missing.write_text("seed = \n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"no.toml: not TOML: .*line 1"):
        Settings.from_toml(missing)
    missing.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"no.toml: not UTF-8; save the file as UTF-8"):
        Settings.from_toml(missing)


NAMED = '[[users]]\nsub = "u"\nclaims = { name = "山口" }\n'


def test_a_file_can_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_text(NAMED, encoding="utf-8-sig")
    assert Settings.from_toml(path).users[0].claims == {"name": "山口"}


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "shift_jis"])
def test_a_file_in_another_encoding_says_what_to_do(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text(NAMED, encoding=encoding)
    with pytest.raises(SettingsError) as caught:
        Settings.from_toml(path)
    assert str(caught.value) == f"{path}: not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("dialect = “ciam”\n", '; “ is not a quotation mark in TOML; use "'),
        ("seed = 1\r\ndialect = ”ciam”\r\n", '; ” is not a quotation mark in TOML; use "'),
        ('dialect = "ciam”\nseed = 1\n', '; ” is not a quotation mark in TOML; use "'),
        ('dialect = "ciam”', '; ” is not a quotation mark in TOML; use "'),
        ("dialect = ‘ciam’\n", "; ‘ is not a quotation mark in TOML; use '"),
        ("dialect = ＂ciam＂\n", '; ＂ is not a quotation mark in TOML; use "'),
        ('# “a comment”\ndialect = "ciam\n', ""),
        ("# “a comment”\nseed = ", ""),
    ],
)
def test_quotation_marks_of_prose_have_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    path = tmp_path / "fake.toml"
    path.write_bytes(text.encode())
    with pytest.raises(SettingsError, match="not TOML: ") as caught:
        Settings.from_toml(path)
    assert str(caught.value).partition(")")[2] == hint


def test_the_message_names_the_file_and_has_a_line_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text("seed = 'x'\nfreeze_time = 3\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        Settings.from_toml(path)
    assert str(caught.value).splitlines() == [
        f"{path}:",
        "$.seed: expected a whole number, got 'x'",
        "$.freeze_time: expected true or false, got 3",
    ]


def test_a_change_by_a_name_that_nothing_has_is_a_problem() -> None:
    with pytest.raises(SettingsError, match="did you mean 'refresh_tokens'"):
        Settings().changed(rotate_refresh_token=True)
    assert Settings().changed(seed=3).seed == 3


def test_a_settings_error_is_for_people() -> None:
    assert issubclass(SettingsError, FakeOAuthError)


def test_a_file_that_is_nested_too_deeply_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(f"seed = {'[' * 100_000}", encoding="utf-8")
    with pytest.raises(SettingsError, match="not TOML: nested too deeply"):
        Settings.from_toml(path)


def test_the_authentication_method_none_has_a_hint() -> None:
    expected = (
        "$.clients[0].token_endpoint_auth_methods[0]: a public client has no secret; leave "
        "client_secret and this out"
    )
    client: dict[str, Any] = {"client_id": "a", "token_endpoint_auth_methods": ["none"]}
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({"clients": [client]})
    assert str(caught.value.problems[0]) == expected
    assert str(Settings(clients=[Client(**client)]).problems()[0]) == expected


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(
            {
                "seed": "x",
                "issuer": "http://[::1",
                "ids": {"session": ["a;b"]},
                "clients": [{"client_id": 5}, {"client_id": "a", "redirect_uris": ["/cb"]}],
                "auto_login": "bob",
                "refresh_tokens": [{"value": "x", "client": "not judged", "user": "eve"}],
                "faults": [{"fault": "Statuss"}],
                1: 2,
                "port": 8000,
                "resource_skew_seconds": 10**400,
            }
        )
    assert sorted(str(problem) for problem in caught.value.problems) == sorted(
        [
            "$.seed: expected a whole number, got 'x'",
            "$.clients[0].client_id: expected a string, got 5",
            "$.faults[0].fault: unknown fault 'Statuss'; did you mean 'Status'?",
            f"$[1]: unknown key; expected one of the {len(fields(Settings))} names in the "
            "documentation",
            "$.issuer: expected an http or https URL without query and fragment, got 'http://[::1'",
            "$.ids.session[0]: expected printable ASCII without space and without any of "
            "\",;\\, got 'a;b'",
            "$.auto_login: unknown name 'bob'; expected one of 'MOCK_USERNAME'",
            "$.refresh_tokens[0].user: unknown name 'eve'; expected one of 'MOCK_USERNAME'",
            "$.port: unknown key; the command line has --port",
            "$.resource_skew_seconds: expected a number from -9223372036854775807 to "
            "9223372036854775807, got 1329 bits",
        ]
    )
    wrong = Settings(
        seed=cast("int", "x"),
        clients=[cast("Client", 7), Client(client_id=" ")],
        session_seconds=0,
        auto_login="bob",
    )
    assert [str(problem) for problem in wrong.problems()] == [
        "$.seed: expected a whole number, got 'x'",
        "$.clients[0]: expected a Client, got 7",
        "$.clients[1].client_id: blank",
        "$.session_seconds: expected at least 1 second, got 0",
        "$.auto_login: unknown name 'bob'; expected one of 'MOCK_USERNAME'",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"resource_skew_seconds": inf},
            "$.resource_skew_seconds: expected a number from -1000000000000 to 1000000000000, "
            "got inf",
        ),
        (
            {"cors_origins": ["https://app.example/"]},
            "$.cors_origins[0]: expected an origin such as https://app.example, "
            "got 'https://app.example/'; remove the trailing slash",
        ),
        (
            {"clients": [Client(client_id="a", redirect_uris=["javascript:alert(1)"])]},
            "$.clients[0].redirect_uris: a browser would run or show 'javascript:alert(1)'; "
            "use another scheme",
        ),
    ],
)
def test_a_value_that_cannot_work_is_a_problem(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(**changes))
    assert list(map(str, caught.value.problems)) == [problem]


def test_a_setting_below_the_header_of_a_table_is_found(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text('[[clients]]\nclient_id = "a"\nfreeze_time = true\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        Settings.from_toml(path)
    assert list(map(str, caught.value.problems)) == [
        "$.clients[0].freeze_time: unknown key; to set freeze_time for the server, "
        "move it above the first [[table]]"
    ]


def test_a_dialect_shows_its_name() -> None:
    assert repr(FakeOAuth().dialect) == "<Dialect ciam>"

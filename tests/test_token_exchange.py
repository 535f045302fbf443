"""Token exchange (RFC 8693): another token for a token of this server."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, ProtectedResource, Settings, User, faults
from fake_oauth.dialects import DIALECTS
from fake_oauth.provider.dialect import Dialect, compact_json
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.token_exchange import TOKEN_EXCHANGE
from fake_oauth.provider.introspection import introspect
from fake_oauth.provider.issuing import Granted, first_tokens, log_in
from fake_oauth.provider.model import OwnTerms
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest
from fake_oauth.provider.tokens import encode
from tests.support.client import claims
from tests.support.realms import ALICE, NOW, WEB, WEB_POST, granted, realm

TYPES = "urn:ietf:params:oauth:token-type:"
API = Client(client_id="api", client_secret="a", scopes=("openid", "email", "read"))
BOB = User(sub="u-bob", username="bob")
API_POST = Credentials("client_secret_post", "api", "a")


@pytest.fixture
def made() -> Realm:
    return of_rfc()


def of_rfc(*clients: Client, dialect: Dialect | None = None, **options: Any) -> Realm:
    users = options.pop("users", (ALICE, BOB))
    return realm(
        *(clients or (WEB, API)), dialect=dialect or DIALECTS["rfc"], users=users, **options
    )


def tokens_of(of: Realm, user: User = ALICE, client: Client = WEB, scope: str = "") -> Granted:
    """Tokens of a login."""
    scopes = scope.split() or client.scopes
    return first_tokens(of, log_in(of, client, user, scopes))


def access_token(of: Realm, user: User = ALICE, client: Client = WEB, scope: str = "") -> str:
    return tokens_of(of, user, client, scope).tokens.access_token


def own_token(of: Realm, credentials: Credentials) -> str:
    """An access token of a client for itself."""
    return granted(of, credentials, {"grant_type": "client_credentials"}).tokens.access_token


def exchange(
    of: Realm,
    token: str,
    kind: str = "access_token",
    credentials: Credentials = API_POST,
    *,
    actor: tuple[str, str] | None = None,
    issue: str | None = None,
    **parameters: str | list[str] | None,
) -> Granted:
    """Exchange a token. `actor` is a token and its type."""
    form: dict[str, str | list[str] | None] = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": TYPES + kind,
        "requested_token_type": None if issue is None else TYPES + issue,
        **parameters,
    }
    if actor is not None:
        form |= {"actor_token": actor[0], "actor_token_type": TYPES + actor[1]}
    return granted(of, credentials, form)


def refused(of: Realm, *arguments: Any, **options: Any) -> tuple[str, str]:
    """The code and the reason of a refusal. Nothing may have changed."""
    grants = len(of.store.grants_of(ALICE.sub))
    with pytest.raises(OAuthError) as caught:
        exchange(of, *arguments, **options)
    assert len(of.store.grants_of(ALICE.sub)) == grants
    return caught.value.code, caught.value.reason


def signed(of: Realm, payload: Mapping[str, Any], typ: str = "at+jwt") -> str:
    """A JWT that this server could have issued."""
    key = of.keys.signing
    header = {"alg": key.alg, "typ": typ, "kid": key.kid}
    return encode(header, {"iss": of.issuer, **payload}, key, compact_json)


# What is issued


def test_an_access_token_becomes_one_of_the_requesting_client(made: Realm) -> None:
    issued = exchange(made, access_token(made))
    told = issued.tokens
    assert (told.token_type, told.issued_token_type) == ("Bearer", f"{TYPES}access_token")
    assert (told.refresh_token, told.id_token) == (None, None)
    assert (told.scope, told.expires_in) == ("email openid", 3600)
    assert (
        claims(told.access_token).items()
        >= {
            "sub": "u-alice",
            "client_id": "api",
            "aud": "api",
            "scope": "email openid",
        }.items()
    )
    assert "act" not in claims(told.access_token)
    assert [token.name for token in issued.issued] == ["alice/2 a1"]
    assert issued.reason == "token of u-alice exchanged"


def test_a_subject_is_any_token_of_this_server(made: Realm) -> None:
    login = tokens_of(made).tokens
    assert login.id_token is not None
    assert login.refresh_token is not None
    for token, kind in (
        (login.access_token, "access_token"),
        (login.access_token, "jwt"),
        (login.id_token, "id_token"),
        (login.id_token, "jwt"),
    ):
        assert claims(exchange(made, token, kind).tokens.access_token)["sub"] == "u-alice"
    for _ in range(2):  # The refresh token is not used up.
        issued = exchange(made, login.refresh_token, "refresh_token", WEB_POST)
        assert claims(issued.tokens.access_token)["client_id"] == "web"


def test_an_opaque_subject_is_known_and_a_jwt_can_be_requested_for_it() -> None:
    made = of_rfc(terms=OwnTerms(access_token_format="opaque"))
    opaque = access_token(made)
    assert "." not in exchange(made, opaque).tokens.access_token
    told = exchange(made, opaque, issue="jwt").tokens
    assert (told.issued_token_type, told.token_type) == (f"{TYPES}jwt", "Bearer")
    assert claims(told.access_token)["sub"] == "u-alice"
    reason = "subject_token: not a JWT: not three segments"
    assert refused(made, opaque, "jwt") == ("invalid_request", reason)


def test_an_id_token_is_no_access_token(made: Realm) -> None:
    issued = exchange(made, access_token(made), issue="id_token", scope="openid")
    told = issued.tokens
    assert (told.token_type, told.issued_token_type) == ("N_A", f"{TYPES}id_token")
    assert (told.scope, told.expires_in, issued.issued) == (None, 3600, ())
    assert jwt.get_unverified_header(told.access_token)["typ"] == "JWT"
    assert claims(told.access_token).items() >= {"sub": "u-alice", "aud": "api"}.items()
    token = exchange(
        made,
        access_token(made),
        issue="id_token",
        audience="web",
        actor=(own_token(made, API_POST), "access_token"),
    ).tokens.access_token
    assert (claims(token)["aud"], claims(token)["act"]) == ("web", {"sub": "api"})


def test_only_users_have_id_tokens(made: Realm) -> None:
    token = own_token(made, WEB_POST)
    issued = exchange(made, token)
    assert claims(issued.tokens.access_token)["sub"] == "web"
    assert [one.name for one in issued.issued] == ["web/2 a1"]
    assert refused(made, token, issue="id_token") == (
        "invalid_request",
        "an ID token is about a user, and web is a client",
    )


@pytest.mark.parametrize("kind", ["refresh_token", "saml1", "saml2", "x"])
def test_no_other_token_can_be_requested(made: Realm, kind: str) -> None:
    code, reason = refused(made, access_token(made), issue=kind)
    assert code == "invalid_request"
    assert reason.startswith(f"requested_token_type '{TYPES}{kind}' is not issued; issued: urn:")


def test_the_lifetime_ends_with_that_of_the_subject(made: Realm) -> None:
    token = access_token(made)
    made.clock.advance(3000)
    issued = exchange(made, token)
    assert issued.tokens.expires_in == 600
    assert claims(issued.tokens.access_token)["exp"] == NOW + 3600
    assert issued.issued[0].expires_at == NOW + 3600
    login = tokens_of(made)
    login.issued[1].expires_at = NOW + 3010
    assert exchange(made, login.tokens.access_token).tokens.expires_in == 10
    login.issued[0].expires_at = NOW + 3005.5
    assert login.tokens.refresh_token is not None
    told = exchange(made, login.tokens.refresh_token, "refresh_token", WEB_POST).tokens
    assert told.expires_in == 5
    forever = exchange(made, "R1", "refresh_token", WEB_POST).tokens
    assert forever.expires_in == 3600
    assert login.tokens.id_token is not None
    made.clock.advance(3599)
    told = exchange(made, login.tokens.id_token, "id_token", issue="id_token").tokens
    assert (told.expires_in, claims(told.access_token)["exp"]) == (1, NOW + 6600)


def test_the_time_of_the_login_is_kept(made: Realm) -> None:
    login = tokens_of(made)
    login.issued[0].grant.auth_time = NOW - 60
    assert exchange(made, login.tokens.access_token).issued[0].grant.auth_time == NOW - 60


def test_a_moment_without_a_record_limits_it_too(made: Realm) -> None:
    foreign = {"sub": "u-alice", "client_id": "web", "exp": NOW + 20.5, "scope": "read"}
    told = exchange(made, signed(made, foreign)).tokens
    assert (told.expires_in, told.scope) == (20, "read")
    huge = signed(made, {**foreign, "exp": 10**400})
    assert exchange(made, huge).tokens.expires_in == 3600
    own = signed(made, {"sub": "api", "exp": NOW + 9})
    assert exchange(made, own).issued[0].name == "api/1 a1"


# Who acts


def test_the_actor_is_named_with_those_before(made: Realm) -> None:
    actor = (own_token(made, API_POST), "access_token")
    first = exchange(made, access_token(made), actor=actor)
    token = first.tokens.access_token
    assert claims(token)["act"] == {"sub": "api"}
    assert first.reason == "token of u-alice exchanged, api acts"
    bob = tokens_of(made, BOB).tokens.id_token
    assert bob is not None
    second = exchange(made, token, actor=(bob, "id_token")).tokens.access_token
    assert claims(second)["act"] == {"sub": "u-bob", "act": {"sub": "api"}}
    third = exchange(made, second).tokens.access_token
    assert claims(third)["act"] == claims(second)["act"], "nobody is forgotten"


def test_introspection_names_the_actor() -> None:
    made = of_rfc(terms=OwnTerms(access_token_format="opaque"))
    actor = (own_token(made, API_POST), "access_token")
    token = exchange(made, access_token(made), actor=actor).tokens.access_token
    members, _ = introspect(made, TokenRequest(Parameters([("token", token)]), API_POST))
    assert members["act"] == {"sub": "api"}


def test_the_chain_of_actors_is_bounded() -> None:
    made = of_rfc(terms=OwnTerms(access_token_format="opaque"))
    actor, token = (own_token(made, API_POST), "access_token"), access_token(made)
    for _ in range(32):
        token = exchange(made, token, actor=actor).tokens.access_token
    reason = "subject_token: over 32 actors"
    assert refused(made, token, actor=actor) == ("invalid_request", reason)
    assert exchange(made, token).tokens.access_token


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("api", None),
        ({"sub": ["x"], "extra": [[[]]], "act": 7}, {}),
        (
            {"sub": "x", "iss": "i", "act": {"sub": "y"}},
            {"sub": "x", "iss": "i", "act": {"sub": "y"}},
        ),
    ],
)
def test_an_act_of_any_shape_is_read(made: Realm, act: object, expected: object) -> None:
    subject = signed(made, {"sub": "u-alice", "exp": NOW + 9, "act": act})
    assert claims(exchange(made, subject).tokens.access_token).get("act") == expected


def test_may_act_says_who_may_act(made: Realm) -> None:
    def subject(may_act: object) -> str:
        return signed(made, {"sub": "u-alice", "exp": NOW + 9, "may_act": may_act})

    web, api = own_token(made, WEB_POST), own_token(made, API_POST)
    for may_act in ({"sub": "api"}, {"sub": "api", "iss": made.issuer}, {}, "x"):
        exchange(made, subject(may_act))
        exchange(made, subject(may_act), actor=(api, "access_token"))
    assert refused(made, subject({"sub": "api"}), actor=(web, "access_token")) == (
        "invalid_request",
        "actor_token: may_act of the subject does not name web",
    )
    assert refused(made, subject({"sub": "web"})) == (
        "invalid_request",
        "subject_token: may_act of the subject does not name api",
    )
    assert refused(made, subject({"iss": "x"}))[0] == "invalid_request"


# Whom it is for


def test_a_token_is_for_its_audience_and_its_resource(made: Realm) -> None:
    token = access_token(made)
    for parameters, audience in (
        ({"audience": "web"}, "web"),
        ({"resource": "https://issuer.example/resource"}, "https://issuer.example/resource"),
        ({"audience": ["web", "api", "web"]}, ["web", "api"]),
        (
            {"audience": "web", "resource": "https://issuer.example/resource"},
            ["https://issuer.example/resource", "web"],
        ),
    ):
        wanted: dict[str, Any] = parameters
        issued = exchange(made, token, **wanted)
        assert claims(issued.tokens.access_token)["aud"] == audience
    assert issued.reason == "token of u-alice exchanged for https://issuer.example/resource web"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"audience": "x"}, "audience 'x' is not a client"),
        ({"audience": ["web", "off"]}, "audience 'off' is not a client"),
        ({"resource": "/x"}, "resource '/x' is not an absolute URI without fragment"),
        (
            {"audience": ["web", "api"], "issue": "id_token"},
            "an ID token is for one client, and for no resource",
        ),
        (
            {"resource": "https://issuer.example/resource", "issue": "id_token"},
            "an ID token is for one client, and for no resource",
        ),
    ],
)
def test_other_targets_are_refused(parameters: Mapping[str, Any], reason: str) -> None:
    made = of_rfc(WEB, API, Client(client_id="off", enabled=False))
    assert refused(made, access_token(made), **parameters) == ("invalid_target", reason)


def test_with_configured_resources_others_are_unknown() -> None:
    files = ProtectedResource(identifier="https://files.example")
    fake = FakeOAuth(SETTINGS.changed(resources=[files]))
    issued = post(fake, **subject_of(fake), resource="https://files.example/")
    assert claims(issued.get_json()["access_token"])["aud"] == "https://files.example"
    assert post(fake, **subject_of(fake), resource="https://x.example").status_code == 400
    known = f"{fake.issuer}/resource, https://files.example"
    reason = f"resource 'https://x.example' is unknown; known: {known}"
    assert fake.journal[-1].reason == reason


# Scopes


def test_the_scopes_are_those_of_subject_and_client(made: Realm) -> None:
    token = access_token(made, scope="openid email profile")
    assert exchange(made, token).tokens.scope == "email openid"
    assert exchange(made, token, scope="email").tokens.scope == "email"
    for scope in ("read", "profile", "email x"):
        code, reason = refused(made, token, scope=scope)
        assert code == "invalid_scope"
        assert reason.endswith("granted to the subject and registered: email openid")
    identity = tokens_of(made).tokens.id_token
    assert identity is not None
    assert exchange(made, identity, "id_token").tokens.scope == "email openid read"
    assert refused(made, identity, "id_token", scope="profile")[0] == "invalid_scope"
    assert exchange(made, access_token(made, scope="profile")).tokens.scope is None


# What is refused


def test_a_flaw_of_the_subject_or_the_actor_is_an_invalid_request(made: Realm) -> None:
    login = tokens_of(made)
    access, refresh, identity = (
        login.tokens.access_token,
        str(login.tokens.refresh_token),
        str(login.tokens.id_token),
    )
    foreign = "not an access token of this server"
    for token, kind, reason in (
        ("x", "access_token", f"{foreign}: not three segments"),
        (identity, "access_token", f"{foreign}: an ID token"),
        (refresh, "access_token", f"{foreign}: not three segments"),
        (access, "refresh_token", "refresh token unknown"),
        (refresh, "refresh_token", "refresh token belongs to client web"),
        (access, "id_token", "not an ID token of this server: an access token"),
        ("x", "id_token", "not an ID token of this server: not three segments"),
        ("x", "jwt", "not a JWT: not three segments"),
        (signed(made, {"exp": NOW + 9}), "access_token", "access token without sub"),
        (signed(made, {"exp": NOW + 9}, "JWT"), "id_token", "an ID token without sub"),
        (signed(made, {"sub": "u-alice"}, "JWT"), "id_token", "ID token without exp"),
        (
            signed(made, {"iss": "x", "sub": "u-alice", "exp": NOW + 9}, "JWT"),
            "id_token",
            "an ID token of issuer 'x'",
        ),
        (
            signed(made, {"sub": "u-alice", "exp": NOW - 9}, "JWT"),
            "id_token",
            "ID token expired 9 s ago",
        ),
        (signed(made, {"sub": "gone", "exp": NOW + 9}), "access_token", "user gone was deleted"),
    ):
        assert refused(made, token, kind) == ("invalid_request", f"subject_token: {reason}")
        found = refused(made, access, actor=(token, kind))
        assert found == ("invalid_request", f"actor_token: {reason}")


def test_expired_revoked_and_spent_tokens_are_refused(made: Realm) -> None:
    login = tokens_of(made)
    access, refresh = login.tokens.access_token, str(login.tokens.refresh_token)
    login.issued[1].revoked = "revoked by the test"
    assert refused(made, access)[1] == "subject_token: access token revoked by the test"
    login.issued[0].spent = "rotated by request 7"
    found = refused(made, refresh, "refresh_token", WEB_POST)
    assert found == ("invalid_request", "subject_token: refresh token rotated by request 7")
    token = access_token(made)
    made.clock.advance(3600)
    assert refused(made, token)[1] == "subject_token: access token expired 0 s ago"


@pytest.mark.parametrize(
    ("users", "reason"),
    [
        ((BOB,), "user u-alice was deleted"),
        ((replace(ALICE, status="frozen"), BOB), "user alice is frozen"),
    ],
)
def test_a_user_who_may_not_log_in_is_no_subject_and_no_actor(
    made: Realm, users: tuple[User, ...], reason: str
) -> None:
    alice, bob = access_token(made), access_token(made, BOB)
    made.replace_users(users)
    assert refused(made, alice) == ("invalid_request", f"subject_token: {reason}")
    found = refused(made, bob, actor=(alice, "access_token"))
    assert found == ("invalid_request", f"actor_token: {reason}")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"subject_token": None}, "subject_token missing"),
        ({"subject_token": ["x", "y"]}, "subject_token sent 2 times"),
        ({"subject_token_type": None}, "subject_token_type missing"),
        ({"actor_token": "x"}, "actor_token_type missing, though its other half is there"),
        ({"actor_token_type": "x"}, "actor_token missing, though its other half is there"),
        ({"actor_token": ["x", "y"], "actor_token_type": "x"}, "actor_token sent 2 times"),
        ({"scope": ["x", "y"]}, "scope sent 2 times"),
        ({"requested_token_type": ["x", "y"]}, "requested_token_type sent 2 times"),
        ({"subject_token_type": f"{TYPES}saml2"}, f"subject_token_type '{TYPES}saml2' is not supp"),
        (
            {"actor_token": "x", "actor_token_type": "access_token"},
            "actor_token_type 'access_token' is not supported; supported: urn:",
        ),
    ],
)
def test_a_request_with_a_flaw_is_refused_before_any_token_is_read(
    made: Realm, parameters: Mapping[str, Any], reason: str
) -> None:
    code, found = refused(made, "unknown", **parameters)
    assert code == "invalid_request"
    assert found.startswith(reason)


def test_who_may_exchange() -> None:
    public = Client(client_id="phone", scopes=("openid",))
    limited = replace(API, grant_types=("client_credentials",))
    made = of_rfc(WEB, limited, public)
    token = access_token(made)
    assert refused(made, token) == (
        "unauthorized_client",
        f"client api may not use grant_type {TOKEN_EXCHANGE}",
    )
    code, reason = refused(made, token, "access_token", Credentials("none", "phone"))
    assert code == "unauthorized_client"
    assert reason == "client phone is public, so anyone with a token could exchange it"
    ciam = realm(WEB, API)
    assert refused(ciam, access_token(ciam))[0] == "unsupported_grant_type"


def test_a_dialect_can_add_it_to_ciam() -> None:
    class Exchanging(type(DIALECTS["ciam"])):  # type: ignore[misc]
        grant_types = (*DIALECTS["ciam"].grant_types, TOKEN_EXCHANGE)

    made = of_rfc(dialect=Exchanging())
    issued = exchange(made, access_token(made))
    assert (issued.tokens.expires_in, issued.issued[0].expires_at) == (299, NOW + 300)
    identity = tokens_of(made).tokens.id_token
    assert identity is not None
    assert exchange(made, identity, "jwt").issued
    assert refused(made, identity)[1].endswith("an ID token")
    assert (
        exchange(made, "R1", "refresh_token", WEB_POST, issue="id_token").tokens.expires_in == 1799
    )
    # An access token with a claim that only ID tokens have there is one by its record.
    made.replace_clients([replace(WEB, extra_claims={"azp": "web"}), API])
    token = access_token(made)
    assert exchange(made, token, "jwt", scope="email").issued
    assert refused(made, token, "id_token")[1].endswith("an access token")


# Over HTTP


SETTINGS = Settings(
    dialect="rfc",
    seed=0,
    start_time=NOW,
    freeze_time=True,
    clients=[replace(WEB, scopes=("openid", "email")), API],
    users=[ALICE, BOB],
    refresh_tokens=[],
)


def post(fake: FakeOAuth, **form: str) -> Any:
    own = {"client_id": "api", "client_secret": "a", "grant_type": TOKEN_EXCHANGE}
    return WSGIClient(fake).post("/token", data={**own, **form})


def subject_of(fake: FakeOAuth) -> dict[str, str]:
    token = fake.issue_tokens("alice", "web").access_token
    return {"subject_token": token, "subject_token_type": f"{TYPES}access_token"}


def test_authlib_exchanges_a_token_over_a_socket() -> None:
    with FakeOAuth(SETTINGS.changed(start_time=None, freeze_time=False)) as server:
        metadata = httpx.get(f"{server.url}/.well-known/oauth-authorization-server").json()
        assert TOKEN_EXCHANGE in metadata["grant_types_supported"]
        with OAuth2Session("api", "a") as session:
            told = session.fetch_token(
                metadata["token_endpoint"],
                grant_type=TOKEN_EXCHANGE,
                audience="web",
                actor_token=server.issue_tokens("bob", "web").access_token,
                actor_token_type=f"{TYPES}access_token",
                **subject_of(server),
            )
            assert session.get(server.resource_url).json()["sub"] == "u-alice"
        keys = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
        found = joserfc_jwt.decode(told["access_token"], keys).claims
        assert (found["aud"], found["act"]) == ("web", {"sub": "u-bob"})
        assert told["issued_token_type"] == f"{TYPES}access_token"


def test_the_journal_names_the_presented_tokens() -> None:
    fake = FakeOAuth(SETTINGS)
    actor = fake.issue_tokens("bob", "web").access_token
    pair = {"actor_token": actor, "actor_token_type": f"{TYPES}access_token"}
    assert post(fake, **subject_of(fake), **pair).status_code == 200
    exchanged = fake.journal[-1]
    assert exchanged.tokens == {"subject_token": "alice/1 a1", "actor_token": "bob/1 a1"}
    assert exchanged.issued == ("alice/2 a1",)
    assert "subject_token=alice/1 a1" in str(exchanged)
    assert actor not in str(exchanged)
    fake.assert_client.behaved()


def test_a_token_in_the_url_is_a_violation() -> None:
    fake = FakeOAuth(SETTINGS)
    WSGIClient(fake).post("/token?subject_token=x")
    assert next(one.check for one in fake.violations()) == "sent_no_secret_in_a_url"


def test_a_refused_exchange_says_no_more_than_the_standard() -> None:
    fake = FakeOAuth(SETTINGS)
    response = post(fake, subject_token="x", subject_token_type=f"{TYPES}access_token")
    assert response.status_code == 400
    assert response.json == {
        "error": "invalid_request",
        "error_description": "subject_token is expired, revoked, malformed, or not acceptable",
    }
    assert (fake.journal[-1].cause, fake.journal[-1].error) == ("subject_token", "invalid_request")
    response = post(fake, **subject_of(fake), audience="x")
    assert response.json == {
        "error": "invalid_target",
        "error_description": "The requested audience is invalid, unknown, or was not granted",
    }


def test_faults_policies_and_revocation_know_the_exchanged_token() -> None:
    fake = FakeOAuth(SETTINGS)
    fake.script(
        faults.Rule(faults.Expired(), grant_type=TOKEN_EXCHANGE),
        faults.Rule(faults.MissingField("issued_token_type"), grant_type=TOKEN_EXCHANGE),
        faults.Rule(faults.Refuse("invalid_target"), grant_type=TOKEN_EXCHANGE),
    )
    subject = subject_of(fake)
    bearer = {"Authorization": f"Bearer {post(fake, **subject).json['access_token']}"}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 401
    assert "issued_token_type" not in post(fake, **subject).json
    assert post(fake, **subject).json["error"] == "invalid_target"
    fake.assert_script_used()
    token = post(fake, **subject).json["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 200
    fake.revoke(subject["subject_token"])
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 200
    assert post(fake, **subject).status_code == 400
    fake.revoke_user("alice")
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 401


def test_a_fault_can_break_an_issued_id_token() -> None:
    fake = FakeOAuth(SETTINGS)
    fake.script(faults.WrongIssuer("https://evil.example"))
    kind = f"{TYPES}id_token"
    told = post(fake, **subject_of(fake), requested_token_type=kind).json
    assert claims(told["access_token"])["iss"] == "https://evil.example"
    fake.assert_script_used()
    bearer = {"Authorization": f"Bearer {told['access_token']}"}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 401


def test_many_clients_can_exchange_one_token_at_once() -> None:
    fake = FakeOAuth(SETTINGS)
    subject = subject_of(fake)
    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(lambda _: post(fake, **subject), range(32)))
    assert {response.status_code for response in responses} == {200}
    issued = [name for exchange in fake.journal for name in exchange.issued]
    assert sorted(issued) == sorted(f"alice/{number} a1" for number in range(2, 34))

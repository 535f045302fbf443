"""Public bug reports about client authentication, request bodies, addresses, keys, and challenges.

Each docstring names the report and says what happened, and then what the fake does to test it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote_plus

import httpx
import jwt
import pytest

from fake_oauth import Client, FakeOAuth, faults
from fake_oauth.dialects import RFC
from tests.support.client import basic, form
from tests.support.reports import call, logged_in, refresh

CALLBACK = "https://app.example/callback"
WEB = Client(client_id="web", client_secret="s3cret", redirect_uris=[CALLBACK])

# Client authentication


@pytest.mark.oauth_server(dialect="rfc", clients=[WEB])
def test_basic_can_be_refused_for_a_refresh_only(oauth_server: FakeOAuth) -> None:
    """windmill-labs/windmill#10684: Sage Intacct accepts HTTP Basic for the code, and for a refresh
    it requires the secret in the body. The first login worked, and each refresh failed.

    A standing rule refuses refresh requests without a secret in the body, and no others.
    """
    rule = faults.Rule(
        faults.Refuse("invalid_client", status=400),
        grant_type="refresh_token",
        when=lambda request: "client_secret" not in request.form,
    )
    oauth_server.always(rule)
    url, secret = oauth_server.token_url, ("web", "s3cret")
    code = oauth_server.issue_code(redirect_uri=CALLBACK)
    body = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    token = httpx.post(url, data=body, auth=secret).json()["refresh_token"]
    body = {"grant_type": "refresh_token", "refresh_token": token}
    in_header = httpx.post(url, data=body, auth=secret)
    assert (in_header.status_code, in_header.json()) == (400, {"error": "invalid_client"})
    in_body = httpx.post(url, data={**body, "client_id": "web", "client_secret": "s3cret"})
    assert in_body.status_code == 200


NOT_ENCODED = (
    "client_secret does not match; it does without form-urldecoding, so the client has to encode "
    "it (RFC 6749 section 2.3.1), or set accept_raw_basic"
)


@pytest.mark.parametrize(
    ("client_id", "client_secret", "reason"),
    [
        ("web", "a+b", NOT_ENCODED),
        ("1PpG/Q 1", "50% of", "Authorization: Basic has a % that starts no escape"),
        ("web", "z/tZ9%2BVw", NOT_ENCODED),
    ],
)
def test_basic_must_be_encoded(
    make_oauth_server: Any, client_id: str, client_secret: str, reason: str
) -> None:
    """requests/requests-oauthlib#568: the client put its secret into HTTP Basic without encoding
    it. The server then reads a `+` in the secret as a space. panva/openid-client#134: another
    server did not decode, so it refused a client that encodes.

    The fake decodes (RFC 6749 section 2.3.1), so it refuses a client that does not encode. The
    journal has the reason.
    """
    client = Client(client_id=client_id, client_secret=client_secret)
    server = make_oauth_server(dialect="rfc", clients=[client])
    body = {"grant_type": "client_credentials"}
    raw = httpx.post(server.token_url, data=body, headers=basic(client_id, client_secret))
    assert raw.status_code in (400, 401)
    assert server.journal[-1].reason == reason
    encoded = basic(quote_plus(client_id), quote_plus(client_secret))
    assert httpx.post(server.token_url, data=body, headers=encoded).status_code == 200


@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
def test_a_public_client_can_revoke_its_refresh_token(make_oauth_server: Any, dialect: str) -> None:
    """spring-projects/spring-authorization-server#1461: a public client got a refresh token, but
    the revocation endpoint responded with `invalid_client`.

    The revocation endpoint of the fake accepts the `client_id` of a public client.
    """
    server = make_oauth_server(dialect=dialect, clients=[Client(client_id="phone")])
    token = logged_in(server)
    body = {"client_id": "phone", "token": token, "token_type_hint": "refresh_token"}
    assert httpx.post(server.url + server.dialect.paths["revoke"], data=body).status_code == 200
    refused = refresh(server, token, client_id="phone", client_secret=None)
    assert refused.json()["error"] == "invalid_grant"
    assert server.journal[-1].reason == "refresh token revoked by request 1"


@pytest.mark.parametrize(
    ("dialect", "status", "error"),
    [("ciam", 401, "invalid_client"), ("rfc", 400, "invalid_grant")],
)
def test_a_refresh_token_of_another_client_has_the_error_of_the_dialect(
    make_oauth_server: Any, dialect: str, status: int, error: str
) -> None:
    """spring-projects/spring-authorization-server#1139: for a refresh token of another client, the
    server sent `invalid_client` instead of `invalid_grant`.

    The dialect `ciam` sends the former, and `rfc` the latter. The token stays valid in both.
    """
    clients = [WEB, Client(client_id="other", client_secret="0ther")]
    server = make_oauth_server(dialect=dialect, clients=clients)
    token = logged_in(server, "web")
    foreign = refresh(server, token, client_id="other", client_secret="0ther")
    assert (foreign.status_code, foreign.json()["error"]) == (status, error)
    own = refresh(server, token, client_id="web", client_secret="s3cret")
    assert own.status_code == 200


# The body of a request


class Notion(RFC):
    """A server whose clients send JSON."""

    name = "notion"
    reads_json = True


def refresh_with_json(server: FakeOAuth) -> httpx.Response:
    """Refresh with HTTP Basic and a JSON body."""
    body = {"grant_type": "refresh_token", "refresh_token": logged_in(server)}
    return httpx.post(
        server.token_url, json=body, auth=("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    )


@pytest.mark.oauth_server(dialect=Notion)
def test_a_server_can_require_json(oauth_server: FakeOAuth) -> None:
    """vellum-ai/vellum-assistant#24686: Notion's token endpoint reads JSON, and the client had to
    learn to send it.

    A dialect reads JSON. There, sending JSON is not a violation.
    """
    assert "access_token" in refresh_with_json(oauth_server).json()
    oauth_server.assert_client.sent_readable_bodies()


@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
def test_json_is_not_read_unless_the_server_reads_it(make_oauth_server: Any, dialect: str) -> None:
    """civitai/cli#5: the client sent JSON to a token endpoint that requires a form. The login
    worked, and every refresh failed.

    The journal says that the server did not read the body, and the request is a violation.
    """
    server = make_oauth_server(dialect=dialect)
    assert refresh_with_json(server).json()["error"] == "invalid_request"
    unread = "the body is not read: its Content-Type is application/json"
    assert server.journal[-1].reason == f"grant_type missing; {unread}"
    assert [violation.check for violation in server.violations()] == ["sent_readable_bodies"]


def test_parameters_in_the_url_are_found(oauth_server: FakeOAuth) -> None:
    """eclipse-tractusx/tractusx-edc#2900: the client sent `grant_type` and `refresh_token` in the
    URL of the POST request, where logs keep them.

    The fake does not read these parameters, and the request is a violation.
    """
    parameters = form(refresh_token=logged_in(oauth_server))
    assert httpx.post(oauth_server.token_url, params=parameters).status_code == 401
    assert "the query string is not read" in str(oauth_server.journal[-1].reason)
    found = {violation.check: violation.text for violation in oauth_server.violations()}
    assert found["sent_no_secret_in_a_url"] == "sent client_secret and refresh_token in the URL"
    assert found["sent_readable_bodies"] == "sent no Content-Type"


def test_a_resource_parameter_is_in_the_journal(oauth_server: FakeOAuth) -> None:
    """modelcontextprotocol/python-sdk#991: a client must name the API that it calls in the
    `resource` parameter of each token request (RFC 8707).

    The journal has the parameter. A refresh for another resource is not a repeated refresh.
    """
    token = logged_in(oauth_server)
    for resource in ("https://mcp.example/a", "https://mcp.example/b"):
        refresh(oauth_server, token, resource=resource)
        assert oauth_server.journal[-1].form["resource"] == resource
    oauth_server.assert_client.refreshed_once_per_expiry()
    refresh(oauth_server, token, resource="https://mcp.example/b")
    assert [violation.number for violation in oauth_server.violations()] == [3, 3]


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_a_server_can_ask_for_a_nonce_in_the_dpop_proof(oauth_server: FakeOAuth) -> None:
    """guillp/requests_oauth2client#97, auth0/nextjs-auth0#2390: the server refuses a proof without
    its nonce, and the client did not repeat the request with the nonce.
    bluesky-social/atproto#3859: the refused request had used up the refresh token.

    The fake refuses once and sends the nonce, and the refresh token stays valid. The journal has
    the proof of each request. The dialect `ciam` does not read proofs.
    """
    oauth_server.script(
        faults.Refuse("use_dpop_nonce", headers={"DPoP-Nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}),
        faults.Field("token_type", "DPoP"),
    )
    token = logged_in(oauth_server)
    refused = refresh(oauth_server, token, headers={"DPoP": "proof"})
    assert (refused.status_code, refused.json()) == (400, {"error": "use_dpop_nonce"})
    nonce = refused.headers["DPoP-Nonce"]
    reply = refresh(oauth_server, token, headers={"DPoP": f"proof with {nonce}"}).json()
    assert reply["token_type"] == "DPoP"
    assert reply["refresh_token"] != token
    proofs = [exchange.headers["Dpop"] for exchange in oauth_server.journal]
    assert proofs == ["proof", "proof with eyJ7S_zG.eyJH0-Z.HX4w-7v"]


# The address of the token endpoint


class Hosted(RFC):
    """A server whose token endpoint is below a path."""

    name = "hosted"
    paths: ClassVar[Mapping[str, str]] = {**RFC.paths, "token": "/oauth2/api/v1/token"}


@pytest.mark.oauth_server(dialect=Hosted)
def test_a_guessed_token_endpoint_is_found(oauth_server: FakeOAuth) -> None:
    """modelcontextprotocol/python-sdk#3240: after a restart, the client had not read the metadata
    yet. It refreshed at `/token`, got a 404, and deleted its tokens.

    A dialect moves the token endpoint. The metadata has the URL, and a guessed URL is a violation.
    """
    token = logged_in(oauth_server)
    guessed = httpx.post(f"{oauth_server.url}/token", data=form(refresh_token=token))
    assert guessed.status_code == 404
    assert "POST /oauth2/api/v1/token" in guessed.json()["error_description"]
    assert [str(violation) for violation in oauth_server.violations()] == [
        "request 1 sent MOCK_USERNAME/1 r1 to /token, which is not an endpoint"
    ]
    metadata = httpx.get(f"{oauth_server.url}/.well-known/oauth-authorization-server").json()
    response = httpx.post(metadata["token_endpoint"], data=form(refresh_token=token))
    assert response.status_code == 200


class Django(RFC):
    """A server whose token endpoint has a slash at its end."""

    name = "django"
    paths: ClassVar[Mapping[str, str]] = {**RFC.paths, "token": "/o/token/"}


@pytest.mark.parametrize(
    ("status", "methods"),
    [(301, ["POST", "GET"]), (302, ["POST", "GET"]), (307, ["POST", "POST"]), (308, ["POST"] * 2)],
)
@pytest.mark.oauth_server(dialect=Django)
def test_a_redirect_can_lose_the_body(
    oauth_server: FakeOAuth, status: int, methods: list[str]
) -> None:
    """freelawproject/courtlistener#7927, django-oauth/django-oauth-toolkit#1851, and
    PostHog/posthog#49807: the client removed the slash at the end of the URL, and got a 301. It
    followed with a GET without a body, so each refresh failed. A 308 keeps the method.

    A rule redirects the URL without the slash, and the journal has the method of each request.
    """
    redirect = faults.Status(status, location=oauth_server.token_url)
    rule = faults.Rule(redirect, endpoint="any", when=lambda request: request.path == "/o/token")
    oauth_server.script(rule)
    url = oauth_server.token_url.removesuffix("/")
    body = form(refresh_token=logged_in(oauth_server))
    response = httpx.post(url, data=body, follow_redirects=True)
    assert [exchange.method for exchange in oauth_server.journal] == methods
    assert response.status_code == (200 if methods[1] == "POST" else 405)


# Keys


def keys_of(server: FakeOAuth) -> dict[str | None, Any]:
    """Return the keys of the JWK Set by their `kid`."""
    document = httpx.get(server.url + server.dialect.paths["jwks"]).json()
    return {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys}


def kid_of(token: str | None) -> str:
    kid: str = jwt.get_unverified_header(token or "")["kid"]
    return kid


def test_a_cached_jwk_set_lacks_a_new_key(oauth_server: FakeOAuth) -> None:
    """jpadilla/pyjwt#914, jpadilla/pyjwt#1207: the server signed with a new key, and the client
    looked for the key only in its cached JWK Set.

    After a rotation, the JWK Set has both keys: tokens of before and of after can be verified.
    """
    before, cached = oauth_server.issue_tokens().id_token, keys_of(oauth_server)
    oauth_server.rotate_keys()
    after, current = oauth_server.issue_tokens().id_token, keys_of(oauth_server)
    assert kid_of(after) not in cached
    assert set(current) == {kid_of(before), kid_of(after)}
    for token in (before, after):
        key = current[kid_of(token)]
        said = jwt.decode(token or "", key, algorithms=["RS256"], audience="TENANT_CLIENT_ID")
        assert said["sub"] == "MOCK_USERNAME"


def test_a_token_can_have_a_kid_that_is_never_published(oauth_server: FakeOAuth) -> None:
    """GHSA-fhv5-28vv-h8m8: PyJWT requested the JWK Set again for each token with an unknown `kid`,
    so anyone could make it send any number of requests.

    The fake signs one ID token with a key that it never publishes. The journal has each request for
    the JWK Set.
    """
    oauth_server.script(faults.UnknownKey(token="id_token"))
    token = refresh(oauth_server, logged_in(oauth_server)).json()["id_token"]
    for _ in range(2):
        assert kid_of(token) not in keys_of(oauth_server)
    assert [exchange.endpoint for exchange in oauth_server.journal] == ["token", "jwks", "jwks"]
    token = refresh(oauth_server, logged_in(oauth_server)).json()["id_token"]
    assert kid_of(token) in keys_of(oauth_server)


def test_a_jwk_set_can_lack_the_kids(oauth_server: FakeOAuth) -> None:
    """mozilla/mozilla-django-oidc#375, authlib/authlib#893: the keys in the JWK Set have no `kid`,
    and the client expected one in each key.

    A standing rule removes the `kid` of the key. The key still verifies the token.
    """
    url = oauth_server.url + oauth_server.dialect.paths["jwks"]
    (key,) = httpx.get(url).json()["keys"]
    bare = {name: value for name, value in key.items() if name != "kid"}
    oauth_server.always(faults.Rule(faults.Field("keys", [bare]), endpoint="jwks"))
    keys = keys_of(oauth_server)
    token = oauth_server.issue_tokens().id_token
    assert list(keys) == [None]
    assert kid_of(token) == key["kid"]
    said = jwt.decode(token or "", keys[None], algorithms=["RS256"], audience="TENANT_CLIENT_ID")
    assert said["sub"] == "MOCK_USERNAME"


# Challenges


@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
@pytest.mark.parametrize("endpoint", ["resource", "userinfo"])
@pytest.mark.parametrize(("error", "status"), [("invalid_token", 401), ("insufficient_scope", 403)])
def test_a_scripted_refusal_of_an_access_token_is_a_challenge(
    make_oauth_server: Any, dialect: str, endpoint: str, error: str, status: int
) -> None:
    """Clients read the challenge of a refused access token to decide what to do (RFC 6750 section
    3), so a scripted refusal needs a challenge too.

    `Refuse` responds as the endpoint does, in each dialect.
    """
    server = make_oauth_server(dialect=dialect)
    server.script(faults.Rule(faults.Refuse(error), endpoint=endpoint))
    url = server.url + server.dialect.paths[endpoint]
    headers = {"Authorization": f"Bearer {server.issue_tokens().access_token}"}
    refused, accepted = (httpx.get(url, headers=headers) for _ in range(2))
    assert refused.status_code == status
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert f'error="{error}"' in challenge
    assert accepted.status_code == 200


@pytest.mark.parametrize("is_scripted", [True, False])
@pytest.mark.oauth_server(dialect="rfc", clients=[WEB])
def test_a_client_that_fails_to_authenticate_gets_a_challenge(
    oauth_server: FakeOAuth, *, is_scripted: bool
) -> None:
    """A 401 needs a `WWW-Authenticate` header (RFC 9110 section 15.5.2), and some HTTP libraries
    raise an error without it.

    The dialect `rfc` sends it, and so does a scripted `invalid_client`.
    """
    if is_scripted:
        oauth_server.script(faults.Refuse("invalid_client"))
    secret = "s3cret" if is_scripted else "wr0ng"
    body = {"grant_type": "client_credentials"}
    response = httpx.post(oauth_server.token_url, data=body, auth=("web", secret))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="fake_oauth"'


@pytest.mark.oauth_server(
    dialect="rfc", clients=[Client(client_id="web", scopes=["files:read", "files:write"])]
)
def test_a_resource_says_which_scope_it_needs(oauth_server: FakeOAuth) -> None:
    """anthropics/claude-code#68720: a protected resource required a further scope with a 403, and
    the client reported an expired token.

    The protected resource requires a scope that the test sets, and the challenge names this scope.
    """
    oauth_server.resource.scope = "files:write"
    narrow = oauth_server.issue_tokens(scope="files:read").access_token
    refused = call(oauth_server, narrow)
    assert refused.status_code == 403
    challenge = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="files:write"' in challenge
    wide = oauth_server.issue_tokens(scope="files:read files:write").access_token
    assert call(oauth_server, wide).status_code == 200

"""Pushed authorization requests: what is kept, who may use it, and once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, SettingsError, faults
from fake_oauth.dialects import RFC
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.pushed import push
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest
from tests.support.client import basic, claims
from tests.support.dpop import Key

CALLBACK = "https://example.com/callback"
URN = "urn:ietf:params:oauth:request_uri:"
MANY = 32
WEB = Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["openid"])
OTHER = replace(WEB, client_id="other")
APP = replace(WEB, client_id="app", client_secret=None)
SETTINGS = Settings(
    dialect="rfc",
    clients=[WEB, OTHER, APP],
    refresh_tokens=[],
    issuer="https://issuer.example",
    start_time=1_700_000_000,
    freeze_time=True,
)
PUSHED: Mapping[str, str] = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "S",
}


class Site:
    """A client and a browser at a server."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.server = FakeOAuth(settings)
        self.browser = Browser(self.server)

    def push(self, **changes: str) -> TestResponse:
        return self.browser.post("/par", data={**PUSHED, **changes}, headers=basic("web", "s"))

    def pushed(self, **changes: str) -> str:
        response = self.push(**changes)
        assert response.status_code == 201, response.text
        uri = response.get_json()["request_uri"]
        assert isinstance(uri, str)
        return uri

    def authorize(self, uri: str, client_id: str = "web", **more: str) -> TestResponse:
        query = urlencode({"client_id": client_id, "request_uri": uri, **more})
        return self.browser.get(f"/authorize?{query}", base_url="https://issuer.example")

    @property
    def reason(self) -> str:
        return str(self.server.journal[-1].reason)

    @property
    def cause(self) -> str | None:
        return self.server.journal[-1].cause


@pytest.fixture
def site() -> Site:
    return Site()


def received(response: TestResponse) -> dict[str, str]:
    """Return the parameters that the browser takes to the client."""
    location = urlsplit(response.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
    return dict(parse_qsl(location.query))


def refused(response: TestResponse, status: int = 400) -> str:
    """Return the code of an error that is shown."""
    assert (response.status_code, response.content_type) == (status, "application/json")
    assert "Location" not in response.headers
    return str(response.get_json()["error"])


# Pushing


def test_a_pushed_request_gets_a_uri(site: Site) -> None:
    response = site.push()
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    members = response.get_json()
    assert list(members) == ["request_uri", "expires_in"]
    assert members["request_uri"].startswith(URN)
    assert members["expires_in"] == 60
    assert site.reason == "request pushed, for 60 s"
    assert site.pushed() != members["request_uri"]


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"client_id": "web", "client_secret": "s"}, {}),
        ({"client_id": "web"}, basic("web", "s")),
        ({"client_id": "app", "code_challenge": "c", "code_challenge_method": "S256"}, {}),
    ],
)
def test_a_client_authenticates_as_at_the_token_endpoint(
    site: Site, form: dict[str, str], headers: dict[str, str]
) -> None:
    response = site.browser.post("/par", data={**PUSHED, **form}, headers=headers)
    assert response.status_code == 201
    site.server.login()
    uri = response.get_json()["request_uri"]
    assert "code" in received(site.authorize(uri, form["client_id"]))


def test_a_client_with_a_document_can_push() -> None:
    url = "https://app.example/client.json"
    document = {"client_id": url, "client_name": "App", "redirect_uris": [CALLBACK]}
    site = Site(replace(SETTINGS, dialect="mcp"))
    read: list[str] = []

    def fetch(url: str) -> bytes:
        read.append(url)
        return json.dumps(document).encode()

    site.server._serving().realm.fetch = fetch
    site.server.login()
    form = {**PUSHED, "client_id": url, "code_challenge": "c", "code_challenge_method": "S256"}
    pushed = site.browser.post("/par", data=form)
    assert "code" in received(site.authorize(pushed.get_json()["request_uri"], url))
    assert read == [url]
    document["client_id"] = "https://other.example/client.json"
    assert refused(site.browser.post("/par", data=form)) == "invalid_client_metadata"


@pytest.mark.parametrize("audience", ["https://issuer.example", "https://issuer.example/par"])
def test_a_client_can_authenticate_with_a_jwt(audience: str) -> None:
    secret = "s" * 32
    web = replace(WEB, client_secret=secret, token_endpoint_auth_methods=["client_secret_jwt"])
    site = Site(replace(SETTINGS, clients=[web]))
    assertion = {"iss": "web", "sub": "web", "aud": audience, "exp": 1_700_000_060, "jti": "1"}
    form = {
        **PUSHED,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(assertion, secret, "HS256"),
    }
    statuses = [site.browser.post("/par", data=form).status_code for _ in range(2)]
    assert statuses == [201, 401], "each request needs an assertion of its own"


def test_a_client_that_cannot_authenticate_is_refused(site: Site) -> None:
    wrong = site.browser.post("/par", data=PUSHED, headers=basic("web", "wrong"))
    assert refused(wrong, 401) == "invalid_client"
    assert refused(site.browser.post("/par", data=PUSHED), 401) == "invalid_client"
    other = {**PUSHED, "client_id": "other"}
    assert refused(site.browser.post("/par", data=other, headers=basic("web", "s"))) == (
        "invalid_request"
    )
    assert site.cause == "client_mismatch"


def test_the_client_that_authenticates_is_the_one_that_asks() -> None:
    realm = Site().server._serving().realm
    request = TokenRequest(
        Parameters([*PUSHED.items(), ("client_id", "other")]),
        Credentials("client_secret_basic", "web", "s"),
    )
    with pytest.raises(OAuthError, match="names client other, not web") as caught:
        push(realm, request)
    assert (caught.value.code, caught.value.cause) == ("invalid_request", "client_mismatch")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"redirect_uri": "https://evil.example"}, "invalid_request"),
        ({"request_uri": f"{URN}x"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"code_challenge": "c"}, "invalid_request"),
    ],
)
def test_an_invalid_request_is_refused_without_a_redirect(
    site: Site, changes: dict[str, str], code: str
) -> None:
    assert refused(site.push(**changes)) == code
    assert not site.server._serving().realm.pushed._kept


def test_a_parameter_that_is_sent_twice_is_refused(site: Site) -> None:
    for name in ("state", "client_id"):
        form = {**PUSHED, "client_id": "web", name: ["web", "web"]}
        assert refused(site.browser.post("/par", data=form, headers=basic("web", "s"))) == (
            "invalid_request"
        )


def test_scopes_can_be_refused_at_once() -> None:
    site = Site(replace(SETTINGS, accept_unknown_scopes=False))
    assert refused(site.push(scope="openid admin")) == "invalid_scope"


def test_a_pushed_request_can_need_a_nonce() -> None:
    site, key = Site(replace(SETTINGS, dpop_nonces="rotating")), Key()
    url, statuses, nonce = "https://issuer.example/par", [], None
    for _ in range(3):
        headers = {**basic("web", "s"), "DPoP": key.proof(url, nonce=nonce)}
        response = site.browser.post("/par", data=PUSHED, headers=headers)
        statuses.append(response.status_code)
        nonce = response.headers["DPoP-Nonce"]
    assert statuses == [400, 201, 201]


# Using


def test_the_pushed_parameters_count(site: Site) -> None:
    site.server.login()
    uri = site.pushed(nonce="N", response_mode="fragment")
    pushed_by = site.server.journal[-1].number
    response = site.authorize(uri, state="other", response_mode="query", prompt="none login")
    fragment = dict(parse_qsl(urlsplit(response.headers["Location"]).fragment))
    assert fragment["state"] == "S"
    assert site.reason.endswith(f" is logged in; pushed by request {pushed_by}")
    form = {
        "grant_type": "authorization_code",
        "code": fragment["code"],
        "redirect_uri": CALLBACK,
    }
    tokens = site.browser.post("/token", data=form, headers=basic("web", "s")).get_json()
    assert "id_token" in tokens


def test_a_resource_can_be_pushed() -> None:
    site = Site(replace(SETTINGS, dialect="mcp"))
    site.server.login()
    challenge = {
        "code_challenge": "JBbiqONGWPaAmwXk_8bT6UnlPfrn65D32eZlJS-zGG0",
        "code_challenge_method": "S256",
    }
    assert refused(site.push(resource="relative", **challenge)) == "invalid_target"
    answer = received(site.authorize(site.pushed(resource="https://api.example", **challenge)))
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": "test-verifier",
    }
    tokens = site.browser.post("/token", data=form, headers=basic("web", "s")).get_json()
    assert claims(tokens["access_token"])["aud"] == "https://api.example"
    assert answer["iss"] == "https://issuer.example"


def test_a_request_uri_can_be_posted(site: Site) -> None:
    site.server.login()
    form = {"client_id": "web", "request_uri": site.pushed()}
    assert "code" in received(site.browser.post("/authorize", data=form))


def test_the_login_page_can_be_loaded_again(site: Site) -> None:
    uri = site.pushed()
    page = site.authorize(uri).headers["Location"]
    site.server.clock.advance(600)
    path = page.removeprefix("https://issuer.example")
    for _ in range(2):
        response = site.browser.get(path, base_url="https://issuer.example")
        assert response.status_code == 200
    form = {"p_state": page.rpartition("=")[2], "sub": "MOCK_USERNAME"}
    response = site.browser.post("/login", data=form, base_url="https://issuer.example")
    assert received(response)["state"] == "S"


def test_a_request_uri_is_used_once(site: Site) -> None:
    site.server.login()
    uri = site.pushed()
    site.authorize(uri)
    first = site.server.journal[-1].number
    assert refused(site.authorize(uri)) == "invalid_request_uri"
    assert (site.reason, site.cause) == (
        f"request_uri was used by request {first}",
        "request_uri",
    )


def test_a_silent_login_that_fails_uses_it_up(site: Site) -> None:
    uri = site.pushed(prompt="none")
    assert received(site.authorize(uri))["error"] == "login_required"
    assert refused(site.authorize(uri)) == "invalid_request_uri"


def test_exactly_one_of_many_browsers_uses_it(site: Site) -> None:
    site.server.login()
    for _ in range(5):
        uri, barrier = site.pushed(), Barrier(MANY)

        def use(uri: str = uri, barrier: Barrier = barrier) -> int:
            browser = Browser(site.server)
            barrier.wait()
            return browser.get(
                f"/authorize?{urlencode({'client_id': 'web', 'request_uri': uri})}"
            ).status_code

        with ThreadPoolExecutor(MANY) as pool:
            statuses = [one.result() for one in [pool.submit(use) for _ in range(MANY)]]
        assert sorted(statuses) == [302, *[400] * (MANY - 1)]


@pytest.mark.parametrize(("seconds", "is_usable"), [(59, True), (60, False), (90, False)])
def test_a_request_uri_expires(site: Site, seconds: int, *, is_usable: bool) -> None:
    site.server.login()
    uri = site.pushed()
    site.server.clock.advance(seconds)
    response = site.authorize(uri)
    if is_usable:
        assert "code" in received(response)
    else:
        assert refused(response) == "invalid_request_uri"
        assert site.reason == f"request_uri expired {seconds - 60} s ago"


def test_its_lifetime_is_a_setting() -> None:
    site = Site(replace(SETTINGS, request_uri_seconds=5))
    assert site.push().get_json()["expires_in"] == 5


def test_a_request_uri_belongs_to_its_client(site: Site) -> None:
    site.server.login()
    uri = site.pushed()
    assert refused(site.authorize(uri, "other")) == "invalid_request_uri"
    assert site.reason == "request_uri belongs to client web"
    assert "code" in received(site.authorize(uri)), "the other client has not used it up"


def test_an_unknown_request_uri_is_shown(site: Site) -> None:
    assert refused(site.authorize(f"{URN}x", redirect_uri=CALLBACK)) == "invalid_request_uri"
    assert site.reason == "request_uri is unknown"


def test_a_request_uri_needs_its_client(site: Site) -> None:
    uri = site.pushed()
    response = site.browser.get(f"/authorize?{urlencode({'request_uri': uri})}")
    assert refused(response) == "invalid_request"
    assert refused(site.authorize(uri, "unknown")) == "invalid_request"
    twice = urlencode([("client_id", "web"), ("request_uri", uri), ("request_uri", uri)])
    assert refused(site.browser.get(f"/authorize?{twice}")) == "invalid_request"
    site.server.replace_clients([])
    assert refused(site.authorize(uri)) == "invalid_request"


def test_the_oldest_requests_are_forgotten(site: Site) -> None:
    site.server.login()
    first, second = site.pushed(), site.pushed()
    for _ in range(4095):
        site.pushed()
    assert refused(site.authorize(first)) == "invalid_request_uri"
    assert site.reason == "request_uri is unknown"
    assert "code" in received(site.authorize(second))


def test_a_reset_forgets_every_request(site: Site) -> None:
    uri = site.pushed()
    site.server.reset()
    assert refused(site.authorize(uri)) == "invalid_request_uri"


def test_other_request_uris_are_not_supported(site: Site) -> None:
    query = {**PUSHED, "client_id": "web", "request_uri": "https://client.example/request"}
    response = site.browser.get(f"/authorize?{urlencode(query)}")
    assert received(response)["error"] == "request_uri_not_supported"


# Clients that have to push


def test_a_client_can_be_made_to_push() -> None:
    site = Site(
        replace(SETTINGS, clients=[replace(WEB, require_pushed_authorization_requests=True)])
    )
    site.server.login()
    response = site.browser.get(f"/authorize?{urlencode({**PUSHED, 'client_id': 'web'})}")
    assert received(response) == {
        "error": "invalid_request",
        "error_description": "request_uri is missing, sent twice, invalid, or not allowed",
        "state": "S",
    }
    assert site.reason == "client web has to push its authorization requests"
    assert "code" in received(site.authorize(site.pushed()))


def test_every_client_can_be_made_to_push() -> None:
    site = Site(replace(SETTINGS, require_pushed_authorization_requests=True))
    site.server.login()
    for client_id in ("web", "other"):
        query = urlencode({**PUSHED, "client_id": client_id})
        assert received(site.browser.get(f"/authorize?{query}"))["error"] == "invalid_request"
        assert site.reason == f"client {client_id} has to push its authorization requests"
    assert "code" in received(site.authorize(site.pushed()))
    assert site.server.metadata()["require_pushed_authorization_requests"] is True


class Plain(RFC):
    """A server without pushed requests."""

    paths: ClassVar[Mapping[str, str]] = {
        name: path for name, path in RFC.paths.items() if name != "pushed_authorization_request"
    }


def test_a_dialect_can_do_without() -> None:
    site = Site(replace(SETTINGS, dialect=Plain))
    assert site.push().status_code == 404
    query = urlencode({**PUSHED, "client_id": "web", "request_uri": f"{URN}x"})
    response = site.browser.get(f"/authorize?{query}")
    assert received(response)["error"] == "request_uri_not_supported"
    assert not [name for name in site.server.metadata() if "pushed" in name]


@pytest.mark.parametrize("dialect", [Plain, "ciam"])
def test_no_client_has_to_push_where_it_cannot(dialect: Any) -> None:
    pushing = replace(WEB, require_pushed_authorization_requests=True)
    settings = Settings(dialect=dialect, clients=[WEB], refresh_tokens=[])
    name = "rfc" if dialect is Plain else "ciam"
    for changed, path in [
        (replace(settings, require_pushed_authorization_requests=True), "$"),
        (replace(settings, clients=[OTHER, pushing]), "$.clients[1]"),
    ]:
        with pytest.raises(SettingsError) as caught:
            FakeOAuth(changed)
        assert list(map(str, caught.value.problems)) == [
            f"{path}.require_pushed_authorization_requests: the dialect {name} has no endpoint "
            "for pushed requests"
        ]


def test_the_metadata_has_the_endpoint(site: Site) -> None:
    metadata = site.server.metadata()
    assert metadata["pushed_authorization_request_endpoint"] == "https://issuer.example/par"
    assert metadata["require_pushed_authorization_requests"] is False


# Faults


def test_a_scripted_error_goes_to_the_pushed_redirect_uri(site: Site) -> None:
    site.server.login()
    uri = site.pushed()
    site.server.script(faults.Rule(faults.Refuse("server_error"), endpoint="authorize"))
    assert received(site.authorize(uri)) == {"error": "server_error", "state": "S"}
    assert "code" in received(site.authorize(uri)), "Refuse changes nothing"


def test_pushing_can_fail() -> None:
    fault = faults.Rule(faults.Status(503), endpoint="pushed_authorization_request")
    with FakeOAuth(replace(SETTINGS, issuer=None, faults=[fault])) as server:
        statuses = [
            httpx.post(f"{server.url}/par", data=PUSHED, auth=("web", "s")).status_code
            for _ in range(2)
        ]
    assert statuses == [503, 201]

"""What can be used once is used once, however many threads use it at the same time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import Client as Browser

from fake_oauth import Client, FakeOAuth, Settings, TrustedIssuer, User
from tests.support.assertions import JWKS, JWT_BEARER, authenticated, claims, signed
from tests.support.dpop import NOW, Key

MANY = 32
ISSUER = "https://issuer.example"
IDP = "https://idp.example"
CALLBACK = "https://app.example/callback"
WEB = {"client_id": "web", "client_secret": "s"}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
REQUEST = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
SETTINGS = Settings(
    clients=[
        Client(client_id="svc", jwks=JWKS),
        Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["openid"]),
    ],
    users=[User(sub="u-alice", username="alice")],
    refresh_tokens=[],
    trusted_issuers=[TrustedIssuer(issuer=IDP, jwks=JWKS, client="web")],
    dpop_nonces="rotating",
    issuer=ISSUER,
    start_time=NOW,
    freeze_time=True,
)

Use = Callable[[], bool]
"""Uses the thing. Returns whether the server let it."""


def location(fake: FakeOAuth, browser: Browser, **query: str) -> dict[str, str]:
    """Return the parameters of the redirect of an authorization request."""
    response = browser.get(
        fake.dialect.paths["authorize"], query_string={"client_id": "web", **query}
    )
    return dict(parse_qsl(urlsplit(response.headers.get("Location", "")).query))


def token_use(fake: FakeOAuth, *, proof: str | None = None, **form: str) -> Use:
    headers = {} if proof is None else {"DPoP": proof}

    def use() -> bool:
        path = fake.dialect.paths["token"]
        return Browser(fake).post(path, data=form, headers=headers).status_code == 200

    return use


def code(fake: FakeOAuth) -> Use:
    fake.login()
    value = location(fake, Browser(fake), **REQUEST)["code"]
    form = {"grant_type": "authorization_code", "code": value, "redirect_uri": CALLBACK}
    return token_use(fake, **WEB, **form, code_verifier=VERIFIER)


def request_uri(fake: FakeOAuth) -> Use:
    fake.login()
    path = fake.dialect.paths["pushed_authorization_request"]
    pushed = Browser(fake).post(path, data={**WEB, **REQUEST}).get_json()
    return lambda: "code" in location(fake, Browser(fake), request_uri=pushed["request_uri"])


def device(fake: FakeOAuth) -> Mapping[str, str]:
    path = fake.dialect.paths["device_authorization"]
    members: Mapping[str, str] = Browser(fake).post(path, data=WEB).get_json()
    return members


def device_code(fake: FakeOAuth) -> Use:
    issued = device(fake)
    fake.approve_device(issued["user_code"])
    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    return token_use(fake, **WEB, grant_type=grant_type, device_code=issued["device_code"])


def user_code(fake: FakeOAuth) -> Use:
    form = {"user_code": device(fake)["user_code"], "sub": "u-alice"}
    path = fake.dialect.paths["device"]
    return lambda: Browser(fake).post(path, data=form).status_code == 200


def login_page(fake: FakeOAuth) -> Use:
    browser = Browser(fake)
    form = {"p_state": location(fake, browser, **REQUEST)["p_state"], "sub": "u-alice"}
    path, cookies = fake.dialect.paths["login"], {"Cookie": cookie(browser)}

    def use() -> bool:
        other = Browser(fake, use_cookies=False)
        return other.post(path, data=form, headers=cookies).status_code == 302

    return use


def cookie(browser: Browser) -> str:
    """Return the session of a browser."""
    return next(f"{made.key}={made.value}" for made in browser._cookies.values())  # type: ignore[union-attr]


def nonce(fake: FakeOAuth) -> Use:
    """Each use has a proof of its own, with the same nonce."""
    path = fake.dialect.paths["token"]
    url = ISSUER + path
    form = {**WEB, "grant_type": "client_credentials"}
    proof = Key().proof(url)
    value = Browser(fake).post(path, data=form, headers={"DPoP": proof}).headers["DPoP-Nonce"]

    def use() -> bool:
        return token_use(fake, proof=Key().proof(url, nonce=value), **form)()

    return use


def client_assertion(fake: FakeOAuth) -> Use:
    sent = authenticated(signed(claims("svc")))
    return token_use(fake, **sent, grant_type="client_credentials")


def assertion(fake: FakeOAuth) -> Use:
    sent = signed(claims(IDP, sub="alice"))
    return token_use(fake, **WEB, grant_type=JWT_BEARER, assertion=sent)


SINGLE_USE: Final = (
    *(code, request_uri, device_code, user_code, login_page),
    *(nonce, client_assertion, assertion),
)


@pytest.fixture(autouse=True)
def _eager_threads() -> Iterator[None]:
    """Switch between threads a thousand times as often as usual, so that races show."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("dialect", ["rfc", "mcp"])
@pytest.mark.parametrize("make", SINGLE_USE)
def test_of_32_uses_at_once_one_succeeds(dialect: str, make: Callable[[FakeOAuth], Use]) -> None:
    fake, together = FakeOAuth(SETTINGS.changed(dialect=dialect)), Barrier(MANY)
    use = make(fake)

    def one(_: int) -> bool:
        together.wait(timeout=20)
        return use()

    with ThreadPoolExecutor(MANY) as threads:
        assert sum(threads.map(one, range(MANY))) == 1


@pytest.mark.parametrize("dialect", ["rfc", "mcp"])
@pytest.mark.parametrize(
    ("make", "seconds"),
    [(code, 600), (request_uri, 60), (device_code, 1800), (user_code, 1800), (nonce, 300)],
)
def test_it_ends_by_the_clock(dialect: str, make: Callable[[FakeOAuth], Use], seconds: int) -> None:
    fake = FakeOAuth(SETTINGS.changed(dialect=dialect))
    use = make(fake)
    fake.clock.advance(seconds + 1)
    assert not use()

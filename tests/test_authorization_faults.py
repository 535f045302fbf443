"""Faults in authorization responses and in challenges, in each form that they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, SettingsError, faults
from fake_oauth.faults import Fault, Rule

ISSUER = "https://issuer.example"
CALLBACK = "https://example.com/callback"
WEB = Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["openid"])
SETTINGS = Settings(
    dialect="rfc",
    clients=[WEB],
    refresh_tokens=[],
    issuer=ISSUER,
    ids={"code": ["C"]},
    authorization_response_iss=True,
    auto_login="MOCK_USERNAME",
)
ASKED: Mapping[str, str] = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "state": "a+b c",
}
USUAL = {"code": "C", "state": "a+b c", "iss": ISSUER}
MODES = ["query", "fragment", "form_post"]


def authorize(
    *steps: Fault, settings: Settings = SETTINGS, **changes: str
) -> tuple[FakeOAuth, TestResponse]:
    """Return a server whose authorization endpoint has used a step, and the response."""
    fake = FakeOAuth(settings)
    fake.script(*(Rule(step, endpoint="authorize") for step in steps))
    path = fake.dialect.paths["authorize"]
    return fake, Browser(fake).get(f"{path}?{urlencode({**ASKED, **changes})}")


def received(response: TestResponse) -> tuple[str, str, dict[str, str]]:
    """Return the mode, the redirect URI, and the parameters as the client gets them."""
    if response.status_code == 200:
        (uri,) = re.findall('action="([^"]+)"', response.text)
        fields = re.findall('name="([^"]+)" value="([^"]*)"', response.text)
        return "form_post", unescape(uri), {name: unescape(value) for name, value in fields}
    where = urlsplit(response.headers["Location"])
    uri = where._replace(query="", fragment="").geturl()
    mode = "fragment" if where.fragment else "query"
    return mode, uri, dict(parse_qsl(where.fragment or where.query, keep_blank_values=True))


def is_effective(fake: FakeOAuth) -> bool:
    """Return whether every step had something to change."""
    return not any(step.undelivered for step in fake.steps)


CHANGES: list[tuple[Fault, dict[str, str]]] = [
    (faults.RedirectParameter("iss", "https://other.example"), {"iss": "https://other.example"}),
    (faults.RedirectParameter("iss", f"{ISSUER}/"), {"iss": f"{ISSUER}/"}),
    (faults.RedirectParameter("state", "x&y=z\"'<é %"), {"state": "x&y=z\"'<é %"}),
    (faults.RedirectParameter("state", ""), {"state": ""}),
    (faults.RedirectParameter("code", "D"), {"code": "D"}),
    (faults.RedirectParameter("id_token", "x.y.z"), {"id_token": "x.y.z"}),
    (faults.MissingRedirectParameter("iss"), {}),
    (faults.MissingRedirectParameter("state"), {}),
    (faults.MissingRedirectParameter("code"), {}),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("fault", "changed"), CHANGES, ids=str)
def test_one_parameter_differs_and_the_others_do_not(
    fault: Any, changed: dict[str, str], mode: str
) -> None:
    fake, response = authorize(fault, response_mode=mode)
    expected = USUAL | changed
    if not changed:
        del expected[fault.name]
    assert received(response) == (mode, CALLBACK, expected)
    assert fake.journal[-1].reason == "MOCK_USERNAME is logged in"
    assert is_effective(fake)
    assert "code" in received(Browser(fake).get(f"/authorize?{urlencode(ASKED)}"))[2]


def test_the_other_parameters_are_as_they_were() -> None:
    for dialect in ("rfc", "ciam"):
        settings = replace(SETTINGS, dialect=dialect)
        usual = authorize(settings=settings)[1].headers["Location"]
        fault = faults.RedirectParameter("iss", "x+y")
        changed = authorize(fault, settings=settings)[1].headers["Location"]
        assert changed.rpartition("&")[0] == usual.rpartition("&")[0]
        assert changed.rpartition("=")[2] == ("x+y" if dialect == "ciam" else "x%2By")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", ["a=1&b", "code=own", "%C3%A9=+"])
def test_the_parameters_of_the_redirect_uri_stay(own: str, mode: str) -> None:
    uri = f"{CALLBACK}?{own}"
    settings = replace(SETTINGS, clients=[replace(WEB, redirect_uris=[uri])])
    fault = faults.RedirectParameter("iss", "x")
    _, response = authorize(fault, settings=settings, redirect_uri=uri, response_mode=mode)
    if mode == "form_post":
        assert f'action="{uri.replace("&", "&amp;")}"' in response.text
        assert received(response)[2]["iss"] == "x"
        return
    join = "&" if mode == "query" else "#"
    assert response.headers["Location"] == f"{uri}{join}code=C&state=a%2Bb%20c&iss=x"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outcome", ["code", "error", "both"])
def test_an_outcome_can_be_selected(outcome: Any, mode: str) -> None:
    step = faults.RedirectParameter("iss", "x", outcome=outcome)
    for prompt, actual in (("", "code"), ("none login", "error")):
        fake, response = authorize(step, prompt=prompt, response_mode=mode)
        is_selected = outcome in ("both", actual)
        parameters = received(response)[2]
        assert actual in parameters
        assert parameters["iss"] == ("x" if is_selected else ISSUER)
        assert is_effective(fake) == is_selected


@pytest.mark.parametrize("mode", MODES)
def test_the_journal_has_the_error_that_the_client_gets(mode: str) -> None:
    asked = {"prompt": "none", "response_mode": mode, "max_age": "0"}
    fake = FakeOAuth(replace(SETTINGS, auto_login=None))
    Browser(fake).get(f"/authorize?{urlencode({**ASKED, **asked})}")
    (exchange,) = fake.journal
    assert (exchange.error, exchange.browser_error) == ("login_required", "login_required")
    assert f"-> {exchange.status} login_required [web] no user is logged in" in str(exchange)
    for step, expected in (
        (faults.RedirectParameter("error", "x"), "x"),
        (faults.MissingRedirectParameter("error"), None),
        (faults.WrongResponseMode("query"), "login_required"),
        (faults.Refuse("server_error"), "server_error"),
    ):
        fake, response = authorize(
            step, settings=replace(SETTINGS, auto_login=None), prompt="none", response_mode=mode
        )
        assert received(response)[2].get("error") == expected
        assert fake.journal[-1].error == expected
    fake, response = authorize(faults.MissingRedirectParameter("code"), response_mode=mode)
    assert fake.journal[-1].error is None


def test_an_issuer_can_be_sent_that_is_not_advertised() -> None:
    settings = replace(SETTINGS, authorization_response_iss=False)
    fake, response = authorize(faults.RedirectParameter("iss", ISSUER), settings=settings)
    assert received(response)[2]["iss"] == ISSUER
    assert fake.metadata()["authorization_response_iss_parameter_supported"] is False


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("other", ["query", "fragment"])
def test_a_response_can_be_in_another_mode(mode: str, other: Any) -> None:
    fake, response = authorize(faults.WrongResponseMode(other), response_mode=mode)
    assert received(response) == (other, CALLBACK, USUAL)
    assert is_effective(fake) == (mode != other)
    assert response.status_code == 302
    assert response.get_data() == b""
    assert not {"Content-Type", "Content-Security-Policy"} & set(response.headers.keys())


def test_faults_in_a_response_can_be_combined() -> None:
    parts = [
        faults.RedirectParameter("state", "x"),
        faults.MissingRedirectParameter("iss"),
        faults.WrongResponseMode("fragment"),
        faults.MissingRedirectParameter("code"),
    ]
    fake, response = authorize(faults.Combined(parts), response_mode="form_post")
    assert response.headers["Location"] == f"{CALLBACK}#state=x"
    assert is_effective(fake)
    only = replace(SETTINGS, authorization_response_iss=False)
    for mode, rest in (("query", ""), ("form_post", None)):
        fault = faults.MissingRedirectParameter("code")
        query = {name: value for name, value in ASKED.items() if name != "state"}
        fake = FakeOAuth(only)
        fake.script(Rule(fault, endpoint="authorize"))
        query["response_mode"] = mode
        response = Browser(fake).get(f"/authorize?{urlencode(query)}")
        if rest is None:
            assert received(response) == (mode, CALLBACK, {})
        else:
            assert response.headers["Location"] == CALLBACK


def test_what_is_not_an_authorization_response_is_unchanged() -> None:
    """The login page, the redirect to it, and an error that is shown."""
    fake = FakeOAuth(replace(SETTINGS, auto_login=None))
    fault = faults.MissingRedirectParameter("p_state")
    fake.script(*(Rule(fault, endpoint=name, times=2) for name in ("authorize", "login")))
    browser = Browser(fake)
    there = browser.get(f"/authorize?{urlencode(ASKED)}", base_url=ISSUER).headers["Location"]
    assert browser.get("/authorize").status_code == 400
    page = browser.get(there.removeprefix(ISSUER), base_url=ISSUER)
    assert 'name="p_state"' in page.text
    form = {"p_state": there.rpartition("=")[2], "sub": "MOCK_USERNAME"}
    response = browser.post("/login", data=form, base_url=ISSUER)
    assert received(response)[2] == USUAL
    assert [list(step.undelivered) for step in fake.steps] == [[1, 2], [3, 4]]


def test_the_login_page_can_send_the_response() -> None:
    fake = FakeOAuth(replace(SETTINGS, auto_login=None))
    fake.script(Rule(faults.RedirectParameter("state", "x"), endpoint="login"))
    browser = Browser(fake)
    there = browser.get(f"/authorize?{urlencode(ASKED)}", base_url=ISSUER).headers["Location"]
    form = {"p_state": there.rpartition("=")[2], "deny": "1"}
    parameters = received(browser.post("/login", data=form, base_url=ISSUER))[2]
    assert (parameters["error"], parameters["state"]) == ("access_denied", "x")
    assert fake.journal[-1].error == "access_denied"


def test_a_surrogate_can_be_sent() -> None:
    fault = faults.RedirectParameter("state", "\ud800")
    assert received(authorize(fault)[1])[2]["state"] == "?"
    _, response = authorize(fault, response_mode="form_post")
    assert received(response)[2]["state"] == "\\ud800"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            faults.RedirectParameter("iss", "x"),
            "$.faults[0].endpoint: token has nothing for RedirectParameter('iss', 'x') to change; "
            "expected authorize or login",
        ),
        (
            Rule(faults.RedirectParameter("a b", "x"), endpoint="any"),
            "$.faults[0].name: expected the name of a parameter, got 'a b'",
        ),
        (
            Rule(faults.ChallengeParameter("a b", "x"), endpoint="resource"),
            "$.faults[0].name: expected the name of a parameter, got 'a b'",
        ),
        (
            Rule(faults.ChallengeParameter("a", "x\ny"), endpoint="resource"),
            "$.faults[0].value: expected one line of Latin-1 without blanks at its ends, "
            "got 'x\\ny'",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_a_problem(rule: Any, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(replace(SETTINGS, faults=[rule]))
    assert list(map(str, caught.value.problems)) == [problem]


def test_they_work_from_a_file_and_over_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text(
        """
auto_login = "MOCK_USERNAME"
dialect = "rfc"

[[faults]]
fault = "RedirectParameter"
name = "state"
value = "x"
outcome = "error"
endpoint = "authorize"

[[faults]]
fault = "MissingChallengeParameter"
name = "realm"
endpoint = "resource"
""",
        encoding="utf-8",
    )
    asked = {**ASKED, "client_id": "TENANT_CLIENT_ID", "prompt": "x"}
    with FakeOAuth(Settings.from_toml(path)) as server:
        sent = httpx.get(f"{server.url}/authorize", params=asked).headers["Location"]
        assert sent.endswith("&state=x")
        assert httpx.get(server.resource_url).headers["WWW-Authenticate"] == "Bearer"
        server.assert_script_used()


# Challenges


CHALLENGES: list[tuple[Fault, str]] = [
    (
        faults.MissingChallengeParameter("realm"),
        'Bearer error="invalid_token", error_description="D"',
    ),
    (
        faults.MissingChallengeParameter("error"),
        'Bearer realm="fake_oauth", error_description="D"',
    ),
    (
        faults.MissingChallengeParameter("error_description"),
        'Bearer realm="fake_oauth", error="invalid_token"',
    ),
    (
        faults.ChallengeParameter("error", 'a "b\\c'),
        'Bearer realm="fake_oauth", error="a \\"b\\\\c", error_description="D"',
    ),
    (
        faults.ChallengeParameter("resource_metadata", "/relative"),
        'Bearer realm="fake_oauth", error="invalid_token", error_description="D", '
        'resource_metadata="/relative"',
    ),
]


@pytest.mark.parametrize(("fault", "expected"), CHALLENGES, ids=str)
@pytest.mark.parametrize("endpoint", ["userinfo", "resource"])
def test_a_challenge_can_differ_in_one_parameter(
    fault: Fault, expected: str, endpoint: str
) -> None:
    fake = FakeOAuth(SETTINGS)
    fake.script(Rule(fault, endpoint=endpoint))
    response = Browser(fake).get(f"/{endpoint}", headers={"Authorization": "Bearer x"})
    found = response.headers["WWW-Authenticate"]
    assert re.sub('error_description="[^"]+"', 'error_description="D"', found) == expected
    assert response.status_code == 401
    assert is_effective(fake)


def test_a_parameter_is_added_to_an_empty_challenge() -> None:
    fake = FakeOAuth(SETTINGS)
    parts = [faults.MissingChallengeParameter("realm"), faults.ChallengeParameter("scope", "a")]
    fake.script(Rule(faults.Combined(parts), endpoint="resource"))
    assert Browser(fake).get("/resource").headers["WWW-Authenticate"] == 'Bearer scope="a"'


def test_a_response_without_the_challenge_is_unchanged() -> None:
    fake = FakeOAuth(SETTINGS)
    fake.script(
        Rule(faults.MissingChallengeParameter("resource_metadata"), endpoint="resource"),
        Rule(faults.ChallengeParameter("realm", "x"), endpoint="jwks"),
    )
    challenge = Browser(fake).get("/resource").headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="fake_oauth"'
    Browser(fake).get("/jwks")
    assert [list(step.undelivered) for step in fake.steps] == [[1], [2]]


# Metadata


@pytest.mark.parametrize("endpoint", ["discovery", "metadata"])
def test_metadata_can_differ_in_one_member(endpoint: str) -> None:
    fake = FakeOAuth(SETTINGS)
    fake.script(
        Rule(faults.Field("issuer", "https://other.example"), endpoint=endpoint),
        Rule(faults.MissingField("code_challenge_methods_supported"), endpoint=endpoint),
    )
    path = fake.dialect.paths[endpoint]
    other, without = (Browser(fake).get(path).get_json() for _ in range(2))
    assert other == fake.metadata() | {"issuer": "https://other.example"}
    assert "code_challenge_methods_supported" not in without
    assert without["issuer"] == ISSUER


# Recipes

_RECIPES = re.findall(
    r"^\| ([^|]+) \| `(Rule\(.+?\))`",
    (Path(__file__).parent.parent / "docs/reference/faults.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("problem", "rule"), _RECIPES, ids=[problem for problem, _ in _RECIPES])
def test_a_recipe_of_the_docs_has_something_to_change(problem: str, rule: str) -> None:
    settings = replace(
        SETTINGS,
        dialect="mcp",
        issuer=None,
        resource_scope="openid",
        authorization_response_iss="not advertised" not in problem,
    )
    pkce = {"code_challenge": "c", "code_challenge_method": "S256"}
    mode = {"response_mode": "form_post"} if "form_post" in problem else {}
    prompt = {"prompt": "none login"} if "errors" in problem else {}
    asked = {**ASKED, **pkce, **mode, **prompt}
    with FakeOAuth(settings) as server:
        names = {name: getattr(faults, name) for name in dir(faults) if name[0].isupper()}
        server.script(eval(rule, {**names, "oauth_server": server}))  # noqa: S307
        httpx.get(f"{server.url}/authorize", params=asked)
        httpx.post(f"{server.url}/par", data={**asked, "response_type": "code"}, auth=("web", "s"))
        httpx.post(f"{server.url}/register", json={"redirect_uris": [CALLBACK]})
        for name in ("discovery", "metadata", "resource_metadata", "resource"):
            httpx.get(f"{server.url}{server.dialect.paths[name]}")
        httpx.post(server.token_url, data={"grant_type": "client_credentials"}, auth=("web", "s"))
        server.assert_script_used()


def test_there_are_recipes() -> None:
    assert len(_RECIPES) > 10
